#!/usr/bin/env bash
# Makes internal/portal/assets anew from the packages named below: the charts,
# the font, htmx and the colours of the pages. Users never run it: the files are
# in the repository. It needs npm, and no package is installed or run.
set -euo pipefail
cd "$(dirname "$0")/../internal/portal/assets"

temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT

# unpack NAME VERSION: prints the folder that holds the package's files.
unpack() {
  local file
  file=$(cd "$temp" && npm pack --silent --ignore-scripts "$1@$2")
  mkdir "$temp/$1"
  tar -xzf "$temp/$file" -C "$temp/$1"
  echo "$temp/$1/package"
}

htmx=$(unpack htmx.org 2.0.11)
cp "$htmx/dist/htmx.min.js" htmx.min.js
cp "$htmx/LICENSE" HTMX-LICENSE.txt

# The same file as in internal/corpus/assets, which git keeps once.
echarts=$(unpack echarts 6.1.0)
cp "$echarts/dist/echarts.simple.min.js" echarts.simple.min.js
cp "$echarts/LICENSE" ECHARTS-LICENSE.txt
cp "$echarts/NOTICE" ECHARTS-NOTICE.txt

# The subset holds the 2,350 syllables of KS X 1001; others come from a font
# of the reader's own.
pretendard=$(unpack pretendard 1.3.9)
for weight in Regular SemiBold; do
  cp "$pretendard/dist/web/static/woff2-subset/Pretendard-$weight.subset.woff2" .
done
cp "$pretendard/dist/LICENSE.txt" PRETENDARD-LICENSE.txt

# Of the Korean government's design system (ISC) only the colours are taken.
krds=$(unpack krds-uiux 1.1.0)
{
  echo '/* Colours of KRDS, the design system of the Korean government: npm krds-uiux 1.1.0, ISC.'
  echo '   Written by scripts/vendor-assets.sh. */'
  echo ':root {'
  grep -E -- '--krds-color-light-(primary|secondary|gray|danger|warning|success|information|point)-[0-9]+:' \
    "$krds/resources/css/token/krds_tokens.css" | sed -E 's/--krds-color-light-/--krds-/'
  echo '}'
} >krds.css

chmod 644 -- *
