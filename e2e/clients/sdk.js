// Drives the Node SDK for the tests: reads a JSON request a line, answers a JSON line each.

const readline = require("node:readline");
const { CommonClient } = require("tencentcloud-sdk-nodejs-common");

let clockSkew = 0;
const RealDate = Date;
globalThis.Date = class extends RealDate {
  constructor(...args) {
    super(...(args.length ? args : [RealDate.now() + clockSkew]));
  }
  static now() {
    return RealDate.now() + clockSkew;
  }
};

async function call({ settings, version, action, params }) {
  clockSkew = settings.clock_skew * 1000;
  const client = new CommonClient(settings.address, version, {
    credential: { secretId: settings.secret_id, secretKey: settings.secret_key },
    region: settings.region,
    profile: {
      signMethod: settings.sign,
      language: settings.language,
      httpProfile: { protocol: "http://", reqMethod: settings.method },
    },
  });
  return client.request(action, params);
}

const streams = [];

// What a stream tells is kept until it is asked for; null is its end.
function keep(stream) {
  const [told, waiting] = [[], []];
  const tell = (event) => (waiting.length ? waiting.shift()(event) : told.push(event));
  stream.on("message", tell).on("close", () => tell(null));
  streams.push(() => (told.length ? told.shift() : new Promise((resolve) => waiting.push(resolve))));
  return streams.length - 1;
}

async function answerTo(request) {
  if ("event" in request) return streams[request.event]();
  if ("watch" in request) return keep(await call(request.watch));
  return call(request.call);
}

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    let answer;
    try {
      answer = { ok: await answerTo(JSON.parse(line)) };
    } catch (error) {
      answer = { refused: { code: error.code, message: error.message, request_id: error.requestId } };
    }
    process.stdout.write(JSON.stringify(answer) + "\n");
  }
}

main();
