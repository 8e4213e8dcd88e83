// duckdb.mjs - the query pathstats keeps answered, over the raw file: requests, errors, clients and
// percentiles per path and hour. Run as: node duckdb.mjs MODULES FILE FORMAT [version]
//
// The log is read with DuckDB's parallel CSV reader (a space between fields, quotes around those that
// hold spaces), which is several times as fast as regular expressions. Result to a table in memory.
// SPDX-License-Identifier: MIT
import { createRequire } from "node:module";

const [modules, file, format] = process.argv.slice(2);
const { DuckDBInstance } = createRequire(`${modules}/package.json`)("@duckdb/node-api");
const db = await (await DuckDBInstance.create(":memory:")).connect();
const one = async (sql) => (await db.runAndReadAll(sql)).getRows();
if (file === "version") {
  console.log((await one("SELECT version()"))[0][0]);
  process.exit(0);
}
const names = ["host", "ident", "usr", "t", "zone", "request", "status", "bytes", "referer", "agent"];
if (format === "combined-time") names.push("taken");
const types = { status: "INTEGER", bytes: "BIGINT", taken: "DOUBLE" };
const columns = names.map((n) => `'${n}': '${types[n] ?? "VARCHAR"}'`).join(", ");
const csv = `SELECT split_part(request, ' ', 2) AS path, substr(t, 2, 14) AS hour, status, host AS client,
  ${format === "combined-time" ? "taken" : "bytes"} AS value FROM read_csv('${file}', delim = ' ', quote = '"',
  escape = '"', header = false, auto_detect = false, strict_mode = false, columns = {${columns}})`;
const json = `SELECT path, "timestamp" // 3600000 AS hour, status, clientIp AS client, responseTime AS value
  FROM read_ndjson('${file}', columns = {path: 'VARCHAR', "timestamp": 'BIGINT', status: 'INTEGER',
  clientIp: 'VARCHAR', responseTime: 'DOUBLE'})`;
await db.run(`CREATE TABLE stats AS SELECT path, hour, count(*) AS requests,
  count(*) FILTER (status >= 400) AS errors, count(DISTINCT client) AS clients,
  quantile_disc(value, [0.5, 0.95, 0.99]) AS percentiles
  FROM (${format === "ndjson" ? json : csv}) GROUP BY path, hour`);
const [[rows, requests]] = await one("SELECT count(*), sum(requests) FROM stats");
console.log(`${rows} rows, ${requests} requests`);
process.exit(0);
