(function () {
  'use strict';
  var data = JSON.parse(document.getElementById('data').textContent);
  var root = document.documentElement, charts = [];
  var colours = { train: '#0b7a75', held: '#7c5cbf', drop: '#d0663a', before: '#b8c4cf' };
  var words = {
    ko: { train: '학습', held: '따로 둠', drop: '버림', before: '고르기 전', after: '남은 글', docs: '편' },
    en: { train: 'train', held: 'held out', drop: 'dropped', before: 'before', after: 'kept', docs: '' }
  };
  function lang() { return root.lang === 'en' ? 'en' : 'ko'; }
  function number(n) { return n.toLocaleString('en-US'); }
  function short(n) { return n >= 1e6 ? +(n / 1e6).toFixed(1) + 'M' : n >= 1e4 ? Math.round(n / 1e3) + 'k' : number(n); }
  function open(id) {
    var el = document.getElementById(id);
    var chart = window.echarts.getInstanceByDom(el) || window.echarts.init(el, null, { renderer: 'canvas' });
    if (charts.indexOf(chart) < 0) charts.push(chart);
    return chart;
  }
  var font = { fontFamily: getComputedStyle(document.body).fontFamily, color: '#16202b' };
  function draw(id, option) {
    option.textStyle = font; option.animation = false; option.aria = { enabled: true };
    open(id).setOption(option, true);
  }
  function axis(width) { return { type: 'value', axisLabel: { color: '#5b6876', formatter: short, hideOverlap: true }, splitLine: { lineStyle: { color: '#eef1f5' } }, splitNumber: width < 420 ? 3 : 5 }; }
  function tip(p) { return (Array.isArray(p) ? p : [p]).map(function (x) { return x.marker + x.seriesName + ' <b>' + number(x.value) + '</b>'; }).join('<br>'); }
  function esc(s) { var d = document.createElement('i'); d.textContent = s; return d.innerHTML; }
  function heading(p) { return esc((Array.isArray(p) ? p[0] : p).name) + '<br>' + tip(p); }

  function reasons() {
    var el = document.getElementById('reasons');
    if (!el) return;
    var l = lang(), list = data.reasons.slice().reverse();
    el.style.height = Math.max(140, 40 + 30 * list.length) + 'px';
    open('reasons').resize();
    draw('reasons', {
      grid: { left: 4, right: 56, top: 4, bottom: 4, containLabel: true }, tooltip: { trigger: 'axis', axisPointer: { type: 'shadow' }, formatter: heading },
      xAxis: axis(el.clientWidth), yAxis: { type: 'category', data: list.map(function (r) { return r[l]; }), axisTick: { show: false }, axisLine: { show: false }, axisLabel: { fontSize: 13, color: '#16202b' } },
      series: [{ name: words[l].drop, type: 'bar', barMaxWidth: 18, itemStyle: { color: colours.drop, borderRadius: [0, 4, 4, 0] }, label: { show: true, position: 'right', formatter: function (p) { return number(p.value); }, color: '#5b6876' }, data: list.map(function (r) { return r.value; }) }]
    });
  }
  function languages() {
    var el = document.getElementById('languages');
    if (!el) return;
    var l = lang(), list = data.languages.slice(0, 8).reverse();
    el.style.height = Math.max(170, 80 + 42 * list.length) + 'px';
    open('languages').resize();
    function series(key, label, colour) { return { name: words[l][label], type: 'bar', stack: 'all', barMaxWidth: 24, itemStyle: { color: colour }, data: list.map(function (r) { return r[key]; }) }; }
    draw('languages', {
      grid: { left: 4, right: 20, top: 34, bottom: 4, containLabel: true }, legend: { top: 0, left: 0, itemWidth: 12, itemHeight: 12 }, tooltip: { trigger: 'axis', axisPointer: { type: 'shadow' }, formatter: heading },
      xAxis: axis(el.clientWidth), yAxis: { type: 'category', data: list.map(function (r) { return r[l]; }), axisTick: { show: false }, axisLine: { show: false }, axisLabel: { fontSize: 13, color: '#16202b' } },
      series: [series('train', 'train', colours.train), series('heldout', 'held', colours.held), series('dropped', 'drop', colours.drop)]
    });
  }
  function histogram(id, index) {
    var el = document.getElementById(id);
    if (!el) return;
    var l = lang(), m = data.measures[index];
    draw(id, {
      grid: { left: 4, right: 12, top: 34, bottom: 8, containLabel: true }, legend: { top: 0, left: 0, itemWidth: 12, itemHeight: 12 }, tooltip: { trigger: 'axis', axisPointer: { type: 'shadow' }, formatter: heading },
      xAxis: { type: 'category', data: m.bins.map(function (b) { return b.to - b.from > 1 ? number(b.from) + '–' + number(b.to - 1) : number(b.from); }), axisTick: { show: false }, axisLabel: { color: '#5b6876', hideOverlap: true, formatter: function (s) { return s.split('–')[0]; } } },
      yAxis: axis(el.clientWidth),
      series: [
        { name: words[l].before, type: 'bar', barGap: '-100%', barCategoryGap: '18%', itemStyle: { color: colours.before, borderRadius: [3, 3, 0, 0] }, data: m.bins.map(function (b) { return b.before; }) },
        { name: words[l].after, type: 'bar', itemStyle: { color: colours.train, borderRadius: [3, 3, 0, 0] }, data: m.bins.map(function (b) { return b.after; }) }
      ]
    });
    var q = document.getElementById(id + '-q');
    if (q) q.textContent = [['p5', '5 %'], ['p50', '50 %'], ['p95', '95 %']].map(function (k) { return k[1] + ': ' + number(m.before[k[0]]) + ' → ' + number(m.after[k[0]]); }).join('   ·   ');
  }
  var select = document.getElementById('measure');
  function options() {
    var at = select.selectedIndex < 0 ? 1 : select.selectedIndex;
    select.textContent = '';
    data.measures.forEach(function (m) { var o = document.createElement('option'); o.textContent = m[lang()]; select.appendChild(o); });
    select.selectedIndex = at;
  }
  function all() { options(); reasons(); languages(); histogram('lengths', 0); histogram('spread', select.selectedIndex); }
  function speak(l) { root.lang = l; document.title = document.querySelector('h1 .' + l).textContent; all(); }

  select.addEventListener('change', function () { histogram('spread', select.selectedIndex); });
  document.querySelector('button.lang').addEventListener('click', function () { speak(lang() === 'ko' ? 'en' : 'ko'); });
  window.addEventListener('resize', function () { charts.forEach(function (c) { c.resize(); }); });
  var wanted = new URLSearchParams(location.search).get('lang') || (/^ko/i.test(navigator.language || '') ? 'ko' : 'en');
  speak(wanted === 'ko' ? 'ko' : 'en');
})();
