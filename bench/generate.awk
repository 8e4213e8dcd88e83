# Combined log lines: Zipf-like paths, 50,000 clients, one second every ~40 lines. Deterministic: its own
# generator (Park & Miller 1988), so every awk makes the same file. Use: awk -v n=1000000 -f generate.awk
function next_random() { seed = (seed * 16807) % 2147483647; return seed / 2147483647 }
BEGIN {
    seed = 20251015
    split("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec", month, " ")
    agents = 40
    for (i = 0; i < n; i++) {
        s = int(i / 40); d = 1 + int(s / 86400) % 28; t = s % 86400
        client = int(next_random() * 50000)
        path = int(exp(next_random() * log(5000)))
        u = next_random(); status = u < 0.93 ? 200 : u < 0.97 ? 304 : u < 0.99 ? 404 : 500
        printf "10.%d.%d.%d - - [%02d/Oct/2025:%02d:%02d:%02d +0000] \"GET /site/section%d/page%d.html HTTP/1.1\" %d %d \"https://example.org/%d\" \"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/1%02d.0.0.0 Safari/537.36\"\n", \
            int(client / 2500), int(client / 100) % 25, client % 100, d, int(t / 3600), int(t / 60) % 60, t % 60, path % 17, path, status, 200 + int(next_random() * 90000), path % 300, int(next_random() * agents)
    }
}
