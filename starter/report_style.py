"""How a report's page looks: light, dark, on a phone, on paper, and without telling colours."""

STYLE = """
:root{color-scheme:light dark;--page:#f7f7f4;--card:#fff;--ink:#1a222e;--soft:#566173;
--line:#d8dce2;
--grid:#e9ecef;--good:#0a6b4b;--good-back:#e3f3ec;--bad:#a3260f;--bad-back:#fbe9e4;--open:#7a5200;
--open-back:#fdf3dc;--canary:#c2510a;--stable:#0b6a9f;--errors:#8a3fa0;--slow:#00795f;
--restarts:#8a6d00;
--band:#8a94a3}
@media (prefers-color-scheme:dark){:root{--page:#11151b;--card:#191f27;--ink:#e7ebf1;
--soft:#a0acbc;
--line:#343e4b;--grid:#262e39;--good:#6fd6ab;--good-back:#12332a;--bad:#ff9c84;--bad-back:#3d1c16;
--open:#f1c869;--open-back:#382c11;--canary:#f5944f;--stable:#5bb8ef;--errors:#d8a2e8;
--slow:#4fcaa6;
--restarts:#e2cd58;--band:#7b8798}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.5 system-ui,-apple-system,
"Segoe UI",
Roboto,"Helvetica Neue",Arial,sans-serif;font-variant-numeric:tabular-nums}
main,header.top{max-width:58rem;margin:0 auto;padding:0 1.1rem}
h1{font-size:1.45rem;line-height:1.25;margin:.2rem 0 .7rem;overflow-wrap:anywhere}
h2{font-size:1.13rem;margin:2.2rem 0 .6rem}
h3{font-size:1rem;margin:0}
p{margin:.4rem 0;overflow-wrap:anywhere}
.soft,figcaption,caption{color:var(--soft)}
.small{font-size:.875rem}
code,.hash{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.86em;
overflow-wrap:anywhere}
header.top{padding-top:1.4rem}
.ending,.card,figure,.notes{background:var(--card);border:1px solid var(--line);
border-radius:.6rem;
padding:.9rem 1.1rem;margin:.8rem 0}
.ending{border-left-width:.5rem}
.ending .word{font-size:1.25rem;font-weight:700;margin:0}
.good{border-left-color:var(--good)}.good .word,.word.good{color:var(--good)}
.bad{border-left-color:var(--bad)}.bad .word,.word.bad{color:var(--bad)}
.open{border-left-color:var(--open)}.open .word,.word.open{color:var(--open)}
.ending.good{background:var(--good-back)}.ending.bad{background:var(--bad-back)}
.ending.open,.notes{background:var(--open-back)}
.notes{border-left:.5rem solid var(--open)}
.notes ul{margin:.3rem 0;padding-left:1.2rem}
.card{border-left-width:.5rem}
.card .word{font-weight:700}
.tag{display:inline-block;border:1px solid currentColor;border-radius:.3rem;padding:0 .4rem;
font-size:.8rem;color:var(--soft)}
dl.facts{display:grid;grid-template-columns:minmax(7rem,max-content) 1fr;gap:.25rem 1rem;
margin:.4rem 0}
dl.facts dt{color:var(--soft)}
dl.facts dd{margin:0;overflow-wrap:anywhere;min-width:0}
figure{margin:.9rem 0}
figcaption{font-size:.875rem;margin:.1rem 0 .4rem}
svg.plot{display:block;width:100%;height:auto}
svg text{font-size:12.5px;fill:var(--ink)}
svg .tick{fill:var(--soft)}
svg .step-name{font-weight:600}
svg .grid{stroke:var(--grid)}svg .axis{stroke:var(--line)}
svg .step{stroke:var(--line);stroke-dasharray:none}
svg .decides{stroke:var(--ink);stroke-width:1.4;stroke-dasharray:9 5}
svg .neutral{stroke:var(--soft);stroke-width:1;stroke-dasharray:2 4}
svg .decides-name,svg .neutral-name,svg .band-name{paint-order:stroke;stroke:var(--card);
stroke-width:4px;stroke-linejoin:round}
svg .decides-name{font-weight:700}svg .neutral-name{fill:var(--soft)}
svg .band{fill:var(--band);opacity:.22}svg .band.held{opacity:.11}
svg .band.unhealthy,svg .band.drift{fill:var(--bad);opacity:.25}
svg .band.nobody-looked{opacity:.11}
svg .band-name{fill:var(--ink)}
.curve{fill:none;stroke:var(--ink);stroke-width:2;stroke-linejoin:round;stroke-linecap:butt}
.curve.merged{stroke-width:3.2}
.curve.weight{stroke:var(--canary);stroke-width:3.2}
.curve.earned{stroke:var(--good);stroke-width:3.2}
.curve.errors{stroke:var(--errors);stroke-dasharray:9 4}
.curve.slow{stroke:var(--slow);stroke-dasharray:2.5 3.5}
.curve.restarts{stroke:var(--restarts);stroke-dasharray:12 3 2 3}
.curve.other{stroke:var(--soft);stroke-dasharray:5 5}
.curve.canary{stroke:var(--canary);stroke-width:3}
.curve.stable{stroke:var(--stable);stroke-width:3;stroke-dasharray:8 4}
.curve.canary-blocks{stroke:var(--canary);stroke-width:5.5;stroke-linecap:round;opacity:.6}
.curve.stable-blocks{stroke:var(--stable);stroke-width:4;stroke-linecap:square;opacity:.5}
.bar.empty{fill:var(--grid)}.bar.earned{fill:var(--slow);opacity:.45}.bar.elapsed{
fill:var(--band);
opacity:.45}
.interval{fill:none;stroke:var(--canary);stroke-width:3.5}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:.1rem 1.1rem;margin:.2rem 0;padding:0;
font-size:.875rem}
.legend li{display:flex;align-items:center;gap:.4rem}
.swatch{width:2.6rem;height:.95rem}
details{margin-top:.4rem}summary{cursor:pointer;color:var(--soft);font-size:.875rem}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-size:.875rem;width:100%}
th,td{text-align:left;padding:.25rem .7rem .25rem 0;border-bottom:1px solid var(--grid);
vertical-align:top}
th{font-weight:600;color:var(--soft)}
.numbers th,.numbers td{white-space:nowrap}
.story td:nth-child(3){overflow-wrap:anywhere}
.story td:first-child,.story td:nth-child(2){white-space:nowrap}
pre{white-space:pre-wrap;overflow-wrap:anywhere;font-size:.86rem;margin:.4rem 0}
footer{color:var(--soft);font-size:.875rem;margin:2rem 0 2.5rem}
@media (max-width:600px){body{font-size:15px}svg text{font-size:19px}
svg .step-name{font-size:17px}svg .curve{stroke-width:3.4}
svg .curve.merged,svg .curve.canary,svg .curve.stable{stroke-width:5}
svg .curve.canary-blocks{stroke-width:7.5}svg .curve.stable-blocks{stroke-width:6}
svg.swatch .curve{stroke-width:2.4}
.ending,.card,figure,.notes{padding:.7rem .75rem}
main,header.top{padding:0 .6rem}header.top{padding-top:.9rem}dl.facts{grid-template-columns:1fr;
gap:0}
dl.facts dd{margin-bottom:.45rem}.story td,.story th{display:block;border:0;padding:.05rem 0}
.story td:last-child{border-bottom:1px solid var(--grid);padding-bottom:.4rem}
.story thead{display:none}.story td:first-child,.story td:nth-child(2){white-space:normal}}
@media print{:root{color-scheme:light;--page:#fff;--card:#fff;--ink:#000;--soft:#333;--line:#999;
--grid:#ddd;--good:#0a6b4b;--good-back:#fff;--bad:#a3260f;--bad-back:#fff;--open:#7a5200;
--open-back:#fff;--canary:#c2510a;--stable:#0b6a9f;--errors:#8a3fa0;--slow:#00795f;
--restarts:#8a6d00;
--band:#8a94a3}body{font-size:11pt}figure,.card,.ending,tr{break-inside:avoid}
details::details-content{content-visibility:visible;block-size:auto}}
""".strip()
