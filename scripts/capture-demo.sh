#!/usr/bin/env bash
# Runs the demo and draws what it printed as docs/images/demo.svg.
#
#   scripts/capture-demo.sh              the demo as it is
#   scripts/capture-demo.sh --recipe F   more flags for gaon demo
#   scripts/capture-demo.sh --from F ... only draw what was printed before, with the flags ...
#
# Nothing is drawn by hand: every line is what the program wrote, but that the
# present folder is called ~/gaon and the one-time ticket is cut.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
here=$PWD
flags=()
for word in "$@"; do
  [ -f "$word" ] && word=$(realpath "$word")
  flags+=("$word")
done
if [ "${1-}" = --from ]; then
  printed=${flags[1]}
  folder=$(dirname "$printed")
  shift 2
else
  make -s build
  printed=$work/printed.txt
  folder=$work
  (cd "$work" && LANG=en_US.UTF-8 LC_ALL='' GAON_DATA='' GAON_KEY='' GAON_SERVER='' "$here/bin/gaon" demo --once "${flags[@]}" >"$printed")
fi
cd "$work"
sed -e "s#$folder#~/gaon#g" -e 's#?ticket=.*#?ticket=…#' "$printed" >demo.txt

# A file of text to an SVG: one <text> a line, long ones cut at a blank.
awk -v typed="gaon demo --once${1:+ $*}" '
  function escape(s) { gsub(/&/, "\\&amp;", s); gsub(/</, "\\&lt;", s); gsub(/>/, "\\&gt;", s); gsub(/  /, "\\&#160; ", s); return s }
  BEGIN { wide = 128; n = 0; line[++n] = "$ " typed }
  {
    rest = $0; match(rest, /^ */); indent = substr(rest, 1, RLENGTH)
    while (length(rest) > wide) {
      cut = wide
      while (cut > 40 && substr(rest, cut, 1) != " ") cut--
      line[++n] = substr(rest, 1, cut); rest = indent "    " substr(rest, cut + 1)
    }
    line[++n] = rest
  }
  END {
    height = n * 19 + 40
    printf "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 1120 %d\" role=\"img\" aria-label=\"What gaon demo printed\">\n", height
    printf "<rect width=\"1120\" height=\"%d\" rx=\"10\" fill=\"#10151d\"/>\n", height
    print "<g font-family=\"ui-monospace, SFMono-Regular, Menlo, Consolas, &quot;Noto Sans Mono CJK KR&quot;, monospace\" font-size=\"14\" fill=\"#d7dee8\" xml:space=\"preserve\">"
    for (i = 1; i <= n; i++) {
      colour = "#d7dee8"
      if (line[i] ~ /^\$/) colour = "#8fb8ff"
      else if (line[i] ~ /^[0-9]\. /) colour = "#ffd479"
      else if (line[i] ~ /✓/) colour = "#8fd9a8"
      else if (line[i] ~ /✗/) colour = "#ff9b9b"
      if (line[i] != "") printf "<text x=\"20\" y=\"%d\" fill=\"%s\">%s</text>\n", 30 + (i - 1) * 19, colour, escape(line[i])
    }
    print "</g>\n</svg>"
  }' demo.txt >demo.svg
mkdir -p "$here/docs/images"
cp demo.svg "$here/docs/images/demo.svg"
echo "$here/docs/images/demo.svg"
