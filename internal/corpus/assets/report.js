(function () {
  'use strict';
  var data = JSON.parse(document.getElementById('data').textContent);
  var root = document.documentElement, charts = [];
  var colours = { train: '#0b7a75', held: '#7c5cbf', drop: '#d0663a', before: '#b8c4cf' };
  var words = { ko: { before: '고르기 전', after: '남은 글' }, en: { before: 'before', after: 'kept' } };
  var scales = { length: [1000, ''], share: [10, ' %'], count: [1, ''] };
  function lang() { return root.lang === 'en' ? 'en' : 'ko'; }
  function number(n) { return n.toLocaleString('en-US'); }
  function short(n) { return n >= 1e6 ? +(n / 1e6).toFixed(1) + 'M' : n >= 1e4 ? Math.round(n / 1e3) + 'k' : number(n); }
  function open(id) {
    var el = document.getElementById(id), chart = window.echarts.getInstanceByDom(el);
    if (!chart) charts.push(chart = window.echarts.init(el, null, { renderer: 'canvas' }));
    return chart;
  }
  var font = { fontFamily: getComputedStyle(document.body).fontFamily, color: '#16202b' };
  function draw(id, option) {
    option.textStyle = font; option.animation = false; option.aria = { enabled: true };
    open(id).setOption(option, true);
  }
  function axis(el) { return { type: 'value', minInterval: 1, axisLabel: { color: '#5b6876', formatter: short, hideOverlap: true }, splitLine: { lineStyle: { color: '#eef1f5' } }, splitNumber: el.clientWidth < 420 ? 3 : 5 }; }
  function names(list) { return { type: 'category', data: list.map(function (r) { return r[lang()]; }), axisTick: { show: false }, axisLine: { show: false }, axisLabel: { fontSize: 13, color: '#16202b' } }; }
  function height(id, pixels) { document.getElementById(id).style.height = pixels + 'px'; open(id).resize(); }

  function reasons() {
    var el = document.getElementById('reasons');
    if (!el) return;
    var list = data.reasons.slice().reverse();
    height('reasons', 40 + 30 * list.length);
    draw('reasons', {
      grid: { left: 4, right: 56, top: 4, bottom: 4, containLabel: true }, xAxis: axis(el), yAxis: names(list),
      series: [{ type: 'bar', barMaxWidth: 18, itemStyle: { color: colours.drop, borderRadius: [0, 4, 4, 0] }, label: { show: true, position: 'right', formatter: function (p) { return number(p.value); }, color: '#5b6876' }, data: list.map(function (r) { return r.value; }) }]
    });
  }
  function languages() {
    var el = document.getElementById('languages'), list = (data.languages || []).slice(0, 8).reverse();
    height('languages', 50 + 44 * Math.max(1, list.length));
    function series(key, colour) {
      return { type: 'bar', stack: 'all', barMaxWidth: 24, itemStyle: { color: colour }, data: list.map(function (r) { return r[key]; }) };
    }
    var last = series('dropped', colours.drop);
    last.label = { show: true, position: 'right', color: '#5b6876', formatter: function (p) { var r = list[p.dataIndex]; return number(r.train + r.heldout + r.dropped); } };
    draw('languages', { grid: { left: 4, right: 56, top: 4, bottom: 4, containLabel: true }, xAxis: axis(el), yAxis: names(list), series: [series('train', colours.train), series('heldout', colours.held), last] });
  }
  function histogram(id, index) {
    var el = document.getElementById(id), m = data.measures[index], scale = scales[m.scale], text = document.getElementById(id + '-q');
    function value(v) { return number(v / scale[0]); }
    function from(b) { return value(b.from); }
    function span(b, i) {
      if (i === m.bins.length - 1 && i > 0) return value(b.from) + '+' + scale[1];
      return (b.to - b.from > 1 ? value(b.from) + '–' + value(b.to - 1) : value(b.from)) + scale[1];
    }
    function bars(key, colour) { return { type: 'bar', barGap: '-100%', barCategoryGap: '16%', itemStyle: { color: colour, borderRadius: [3, 3, 0, 0] }, data: m.bins.map(function (b) { return b[key]; }) }; }
    draw(id, {
      grid: { left: 4, right: 12, top: 12, bottom: 8, containLabel: true },
      xAxis: { type: 'category', data: m.bins.map(from), axisTick: { show: false }, axisLabel: { color: '#5b6876', hideOverlap: true } },
      yAxis: axis(el), series: [bars('before', colours.before), bars('after', colours.train)]
    });
    function rest() {
      text.textContent = ['p5', 'p50', 'p95'].map(function (k) { return k.slice(1) + ' % ≤ ' + value(m.before[k]) + scale[1] + ' → ' + value(m.after[k]) + scale[1]; }).join('  ·  ');
    }
    var chart = open(id), l = words[lang()];
    chart.off('mouseover'); chart.off('mouseout');
    chart.on('mouseover', function (p) { var b = m.bins[p.dataIndex]; text.textContent = span(b, p.dataIndex) + ': ' + l.before + ' ' + number(b.before) + ' → ' + l.after + ' ' + number(b.after); });
    chart.on('mouseout', rest);
    rest();
  }
  var select = document.getElementById('measure');
  function options() {
    var at = select.selectedIndex < 0 ? 1 : select.selectedIndex;
    select.textContent = '';
    data.measures.forEach(function (m) { var o = document.createElement('option'); o.textContent = m[lang()]; select.appendChild(o); });
    select.selectedIndex = at;
  }
  function speak(l) {
    root.lang = l;
    document.title = document.querySelector('h1 .' + l).textContent;
    options(); reasons(); languages(); histogram('lengths', 0); histogram('spread', select.selectedIndex);
  }

  select.addEventListener('change', function () { histogram('spread', select.selectedIndex); });
  document.querySelector('button.lang').addEventListener('click', function () { speak(lang() === 'ko' ? 'en' : 'ko'); });
  window.addEventListener('resize', function () { charts.forEach(function (c) { c.resize(); }); });
  var wanted = new URLSearchParams(location.search).get('lang') || (/^ko/i.test(navigator.language || '') ? 'ko' : 'en');
  speak(wanted === 'ko' ? 'ko' : 'en');
})();
