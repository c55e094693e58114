// What the pages do with a script: the loss curve, the playground, times in the
// reader's own zone. Everything else is HTML, and htmx for what changes.
(function () {
  'use strict';
  var byID = function (id) { return document.getElementById(id); };
  var style = function (name) { return getComputedStyle(document.documentElement).getPropertyValue(name).trim(); };

  // ---- Times
  function localTimes(root) {
    (root.querySelectorAll ? root.querySelectorAll('time[datetime]') : []).forEach(function (el) {
      var at = new Date(el.getAttribute('datetime'));
      if (isNaN(at)) return;
      var options = el.hasAttribute('data-day') ? { year: 'numeric', month: '2-digit', day: '2-digit' } :
        { year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' };
      el.textContent = at.toLocaleString('sv-SE', options);
    });
  }

  // ---- Logs: opened below the run, to their end; there they can be closed
  var reading = []; // how far up each stream of the log was scrolled
  document.addEventListener('htmx:beforeSwap', function () {
    reading = Array.from(document.querySelectorAll('#log pre'), function (el) { return el.scrollTop + el.clientHeight < el.scrollHeight - 8 ? el.scrollTop : -1; });
  });
  function openLog() {
    document.querySelectorAll('#log [data-close]').forEach(function (el) { el.hidden = false; });
    document.querySelectorAll('#log pre').forEach(function (el, i) { el.scrollTop = reading[i] > -1 ? reading[i] : el.scrollHeight; });
  }
  document.addEventListener('click', function (e) {
    var close = e.target.closest('[data-close]');
    if (close) close.closest('section').remove();
  });

  // ---- Live
  document.addEventListener('htmx:afterSettle', function () { localTimes(document); openLog(); });
  document.addEventListener('htmx:oobAfterSwap', function (e) { localTimes(e.target); bindAsk(); });
  function lost(is) { return function () { var el = byID('lost'); if (el) el.hidden = !is; }; }
  document.addEventListener('htmx:sendError', lost(true));
  document.addEventListener('htmx:timeout', lost(true));
  document.addEventListener('htmx:afterRequest', function (e) { if (e.detail.successful) lost(false)(); });

  // ---- Loss curve
  function lossCurve(figure) {
    var points = [], chart = null, timer = null, words = figure.dataset;
    function smooth() { // mean over a window around each point: it does not lag
      var half = Math.max(2, Math.round(points.length / 40));
      return points.map(function (p, i) {
        var reach = Math.min(half, i, points.length - 1 - i), sum = 0;
        for (var k = i - reach; k <= i + reach; k++) sum += points[k][1];
        return [p[0], sum / (2 * reach + 1)];
      });
    }
    function open() {
      var board = document.createElement('div');
      board.className = 'board';
      figure.querySelector('.still').remove();
      figure.querySelector('.empty').hidden = true;
      figure.append(board);
      chart = window.echarts.init(board, null, { renderer: 'canvas' });
      chart.getZr().on('mousemove', function (e) { read(chart.convertFromPixel({ gridIndex: 0 }, [e.offsetX, e.offsetY])[0]); });
      chart.getZr().on('globalout', function () { read(NaN); });
      new ResizeObserver(function () { chart.resize(); }).observe(board);
    }
    function read(step) { // what the curve says under the pointer
      var out = byID('loss-readout');
      if (isNaN(step) || !points.length) { out.textContent = ''; return; }
      var best = points.reduce(function (a, p) { return Math.abs(p[0] - step) < Math.abs(a[0] - step) ? p : a; });
      out.textContent = words.step + ' ' + best[0].toLocaleString('en-US') + ' · ' + words.raw + ' ' + best[1].toFixed(3) + ' · ' + words.rate + ' ' + best[2].toPrecision(3);
    }
    function draw(steps) {
      if (!points.length || !window.echarts) return;
      if (!chart) open();
      var small = figure.clientWidth < 480, quiet = style('--quiet'), hair = style('--hair');
      var label = { color: quiet, fontFamily: style('--body'), fontSize: 12 };
      chart.setOption({
        animation: false, aria: { enabled: true },
        grid: { left: 8, right: small ? 8 : 12, top: 12, bottom: 4, containLabel: true },
        xAxis: { type: 'value', min: 0, max: steps, axisLabel: Object.assign({ hideOverlap: true }, label), splitLine: { show: false }, axisLine: { lineStyle: { color: style('--line') } }, splitNumber: small ? 3 : 6 },
        yAxis: [{ type: 'value', scale: true, axisLabel: Object.assign({ formatter: function (v) { return v.toFixed(1); } }, label), splitLine: { lineStyle: { color: hair } }, splitNumber: 5 },
          { type: 'value', min: 0, show: false }],
        series: [
          { type: 'line', data: points.map(function (p) { return [p[0], p[2]]; }), yAxisIndex: 1, showSymbol: false, lineStyle: { color: quiet, width: 1, type: 'dashed', opacity: .45 }, silent: true },
          { type: 'line', data: points.map(function (p) { return [p[0], p[1]]; }), showSymbol: false, lineStyle: { color: style('--held'), width: 1.25 }, silent: true },
          { type: 'line', data: smooth(), showSymbol: false, lineStyle: { color: style('--accent-fill'), width: 2.5 }, silent: true }
        ]
      });
      var losses = points.map(function (p) { return p[1]; });
      byID('loss-first').textContent = losses[0].toFixed(3);
      byID('loss-last').textContent = losses[losses.length - 1].toFixed(3);
      byID('loss-lowest').textContent = Math.min.apply(null, losses).toFixed(3);
    }
    var steps = 0;
    function ask() {
      // The last point may have grown since: it is asked for again.
      fetch(words.from + '?from=' + Math.max(0, points.length - 1), { credentials: 'same-origin' }).then(function (r) {
        if (!r.ok) throw new Error(r.status);
        return r.json();
      }).then(function (answer) {
        points = points.slice(0, answer.from).concat(answer.points);
        steps = answer.steps;
        draw(steps);
        if (answer.growing) timer = setTimeout(ask, document.hidden ? 5000 : 1000);
      }).catch(function () { timer = setTimeout(ask, 5000); });
    }
    window.matchMedia('(prefers-color-scheme: dark)').addEventListener('change', function () { draw(steps); });
    window.addEventListener('pagehide', function () { clearTimeout(timer); });
    ask();
  }

  // ---- Playground
  function bindAsk() {
    var form = byID('ask');
    if (!form || form.dataset.bound) return;
    form.dataset.bound = 'yes';
    var stopping = null;
    form.addEventListener('submit', function (e) { e.preventDefault(); if (!stopping) send(); });
    byID('ask-stop').addEventListener('click', function () { if (stopping) stopping.abort(); });
    byID('ask-prompt').addEventListener('keydown', function (e) { if (e.key === 'Enter' && (e.ctrlKey || e.metaKey) && !e.isComposing) form.requestSubmit(); });

    function busy(is) {
      byID('ask-send').disabled = is;
      byID('ask-stop').hidden = !is;
      byID('answer').classList.toggle('busy', is);
    }
    function send() {
      var chat = form.elements.mode.value === 'chat', prompt = form.elements.prompt.value;
      var body = { model: form.elements.model.value, temperature: Number(form.elements.heat.value), max_tokens: Number(form.elements.tokens.value), stream: true, stream_options: { include_usage: true } };
      if (chat) body.messages = [{ role: 'user', content: prompt }]; else body.prompt = prompt;
      var text = byID('answer-text'), used = byID('answer-used'), status = byID('answer-status'), began = performance.now(), usage = null;
      byID('answer').hidden = false;
      byID('answer').classList.remove('failed');
      text.textContent = used.textContent = '';
      status.textContent = form.dataset.answering;
      if (!chat) { var asked = document.createElement('mark'); asked.textContent = prompt; text.append(asked); }
      busy(true);
      stopping = new AbortController();
      fetch('/ask', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body), signal: stopping.signal, credentials: 'same-origin' }).then(function (r) {
        if (!r.ok) return r.text().then(function (t) { throw new Error(reason(t) || r.status); });
        return follow(r.body.getReader(), function (event) {
          if (event.error) throw new Error(event.error.message);
          if (event.usage) usage = event.usage;
          var choice = (event.choices || [])[0] || {}, piece = choice.text || (choice.delta || {}).content || '';
          if (piece) text.append(piece);
        });
      }).then(function () { status.textContent = form.dataset.done; }).catch(function (problem) {
        if (problem.name === 'AbortError') { used.textContent = status.textContent = form.dataset.stopped; return; }
        byID('answer').classList.add('failed');
        text.textContent = status.textContent = form.dataset.failed + problem.message;
      }).finally(function () {
        if (usage) used.textContent = form.dataset.used.replace('{prompt}', usage.prompt_tokens).replace('{completion}', usage.completion_tokens).replace('{seconds}', ((performance.now() - began) / 1000).toFixed(2));
        stopping = null;
        busy(false);
      });
    }
  }
  function reason(text) { try { return JSON.parse(text).error.message; } catch (e) { return ''; } }

  // follow reads server-sent events until [DONE]; a stream that ends before it
  // is broken off.
  function follow(reader, event) {
    var decoder = new TextDecoder(), rest = '', done = false;
    return reader.read().then(function next(part) {
      if (part.done) { if (!done) throw new Error('…'); return; }
      rest += decoder.decode(part.value, { stream: true });
      var lines = rest.split('\n');
      rest = lines.pop();
      lines.forEach(function (line) {
        if (line.indexOf('data: ') !== 0) return;
        var data = line.slice(6).trim();
        if (data === '[DONE]') { done = true; return; }
        event(JSON.parse(data));
      });
      return reader.read().then(next);
    });
  }

  localTimes(document);
  bindAsk();
  if (byID('loss-chart')) lossCurve(byID('loss-chart'));
})();
