#!/usr/bin/env bash
# The page of pagein bench --html, in a browser without a window: it asks for nothing but itself, has
# its pictures, and fits a phone. PAGEIN names the program. Exit 77: no userfaultfd, or no browser.
set -euo pipefail

browser=$(command -v chromium || command -v chromium-browser || true)
if [ -z "$browser" ]; then
	echo 'skipped: no chromium here' >&2
	exit 77
fi
if "$PAGEIN" doctor | grep -q '^FAIL  libpagein:'; then
	echo 'skipped: no userfaultfd here: see pagein doctor' >&2
	exit 77
fi
base=$(mktemp -d)
trap 'rm -rf "$base"' EXIT

timeout 60 "$PAGEIN" bench --size 4M --count 200 --runs 3 --engine floor,uffd,uffd-cached \
	--pattern random,sequential,zipf --html "$base/page.html" --json "$base/json" >/dev/null

# What could reach for something else, or run: none of it is in the page.
if grep -Eio '(src|href|action|data)=|url\(|@import|<script|<link|<iframe|https?:' "$base/page.html"; then
	echo 'the page refers to something outside of itself' >&2
	exit 1
fi

# A frame of a phone's width around it reports, after it has been laid out, what there is.
cat >"$base/frame.html" <<'END'
<!DOCTYPE html><title>frame</title><iframe src="page.html" style="width:360px;height:800px;border:0"></iframe>
<pre id="seen"></pre>
<script>
addEventListener("load", () => {
	const page = document.querySelector("iframe").contentDocument;
	const boxes = [...page.querySelectorAll("svg")].map(svg => svg.getBoundingClientRect());
	const texts = [...page.querySelectorAll("svg text")].map(text => text.getBoundingClientRect());
	document.getElementById("seen").textContent = JSON.stringify({
		width: page.documentElement.scrollWidth,
		charts: boxes.length,
		named: page.querySelectorAll("svg[role=img][aria-label]").length,
		lines: [...page.querySelectorAll("path.line")].length,
		drawn: [...page.querySelectorAll("path.line")].every(path => path.getTotalLength() > 0),
		dashed: getComputedStyle(page.querySelector(".line.s0")).strokeDasharray,
		outside: texts.filter(text => text.left < -1 || text.right > 361).length,
		letters: Math.min(...texts.filter(text => text.width > text.height).map(text => text.height)),
		rows: page.querySelectorAll("tbody tr").length,
		headings: [...page.querySelectorAll("h3")].map(heading => heading.textContent),
	});
});
</script>
END
timeout 60 "$browser" --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --allow-file-access-from-files --user-data-dir="$base/profile" \
	--virtual-time-budget=5000 --dump-dom "file://$base/frame.html" >"$base/dom" 2>"$base/log" || {
	cat "$base/log" >&2
	exit 1
}

python3 - "$base/dom" <<'END'
import html, json, re, sys

seen = json.loads(html.unescape(re.search(r'<pre id="seen">(.*?)</pre>', open(sys.argv[1]).read()).group(1)))
assert seen["width"] <= 360, seen
assert seen["rows"] == 9 and seen["headings"] == ["random", "sequential", "zipf"], seen
# Distribution, percentiles, throughput and pages of each pattern, and the stages of random.
assert seen["charts"] == seen["named"] == 13, seen
assert seen["drawn"] and seen["outside"] == 0 and seen["dashed"] != "none" and seen["letters"] >= 10, seen
assert seen["lines"] > 13, seen
END
