"""How the page looks, on phones and in the dark too."""

CSS = """
:root { color-scheme: light dark; --ground: #fff; --raised: #f4f5f7; --text: #1b1d22;
  --quiet: #5a6070; --line: #d5d8df; --link: #1d5fae; --bad: #a8321f; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #15171b; --raised: #1e2127; --text: #e4e6ea; --quiet: #a2a8b5;
    --line: #363b45; --link: #7db3f0; --bad: #f0937f; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--ground); color: var(--text);
  font: 1rem/1.5 system-ui, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
main { max-width: 84rem; margin: 0 auto; padding: 1rem clamp(0.75rem, 3vw, 2.5rem) 4rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0.5rem 0; }
h2 { font-size: 1.35rem; margin: 3rem 0 0.5rem; padding-top: 1rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1.1rem; margin: 2rem 0 0.5rem; }
p, .notes { max-width: 46rem; }
a { color: var(--link); }
nav ul { display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; padding: 0; list-style: none; }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 0.15rem 1rem;
  max-width: 60rem; font-size: 0.92rem; }
dt { color: var(--quiet); }
dd { margin: 0; overflow-wrap: anywhere; }
.wide { overflow-x: auto; margin: 0.75rem 0; }
table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--quiet); padding-bottom: 0.35rem; }
th, td { padding: 0.3rem 0.65rem; border-bottom: 1px solid var(--line); text-align: right;
  white-space: nowrap; }
thead th { white-space: normal; min-width: 4rem; vertical-align: bottom; font-weight: 600; }
th:first-child { text-align: left; padding-left: 0; white-space: normal; min-width: 6rem; }
tbody tr:hover { background: var(--raised); }
.grid { columns: 23rem; column-gap: 2rem; }
.rows { display: grid; gap: 1.5rem 2rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 23rem), 1fr)); }
.grid > * { break-inside: avoid; margin: 0 0 1.5rem; }
figure { margin: 0; max-width: 34rem; }
figure svg { display: block; width: 100%; height: auto; }
figure svg * { stroke-linejoin: round; stroke-linecap: butt; }
figcaption { color: var(--quiet); font-size: 0.85rem; margin-top: 0.35rem; max-width: 34rem; }
details { margin: 1rem 0; border: 1px solid var(--line); border-radius: 0.4rem;
  padding: 0 1rem; }
summary { cursor: pointer; padding: 0.6rem 0; font-weight: 600; }
.problem { color: var(--bad); overflow-wrap: anywhere; }
@media (max-width: 34rem) {
  dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: 0.5rem; }
  th, td { padding: 0.3rem 0.45rem; } }
"""
