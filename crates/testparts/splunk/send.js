// Sends texts by Splunk's own client for Node, and writes what it was told: PORT TOKEN TEXTS...
const { Logger } = require("splunk-logging");

const [port, token, ...texts] = process.argv.slice(1);
const logger = new Logger({ url: `http://127.0.0.1:${port}`, token, maxBatchCount: 0 });
logger.error = () => {};
for (const text of texts) {
    logger.send({ message: JSON.parse(text), metadata: { index: "audit", sourcetype: "annals:audit", time: 1763000000.123456 } });
}
logger.flush((error, response, body) => {
    console.log(JSON.stringify(error ? { error: String(error) } : body));
});
