// A client of Lambda's Runtime API for Node.js, with nothing but what Node.js brings. Source: "Using the Lambda runtime
// API for custom runtimes", "Define Lambda function handler in Node.js".
import http from "node:http";
import path from "node:path";
import { existsSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(":");
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

function request(method, url, body) {
  return new Promise((resolve, reject) => {
    const made = http.request(
      { host, port, method, path: `/2018-06-01/runtime${url}`, agent, timeout: 0, headers: body === undefined ? {} : {
        "Content-Type": "application/json", "Content-Length": Buffer.byteLength(body) } },
      (response) => {
        const pieces = [];
        response.on("data", (piece) => pieces.push(piece));
        response.on("end", () => resolve({ headers: response.headers, body: Buffer.concat(pieces).toString() }));
      });
    made.on("error", reject);
    made.end(body);
  });
}

function described(error) {
  const known = error instanceof Error;
  return JSON.stringify({
    errorType: known ? error.name : typeof error,
    errorMessage: known ? error.message : String(error),
    trace: known ? (error.stack ?? "").split("\n") : [],
  });
}

async function load() {
  const root = process.env.LAMBDA_TASK_ROOT ?? process.cwd();
  const [, folder, file, name] = /^(.*?)([^/]*?)\.([^/]*)$/.exec(process.env._HANDLER);
  const found = ["", ".js", ".mjs", ".cjs"].map((end) => path.join(root, folder, file) + end).find(
    (each) => existsSync(each) && path.extname(each));
  if (found === undefined) throw new Error(`Cannot find module '${file}'`);
  const module = await import(pathToFileURL(found));
  const handler = name.split(".").reduce((value, part) => value?.[part], module) ?? module.default?.[name];
  if (typeof handler !== "function") throw new Error(`${process.env._HANDLER} is undefined or not exported`);
  return handler;
}

function run(handler, event, context) {
  return new Promise((resolve, reject) => {
    const callback = (error, result) => (error ? reject(error) : resolve(result));
    Object.assign(context, { done: callback, succeed: resolve, fail: reject, callbackWaitsForEmptyEventLoop: true });
    const result = handler(event, context, callback);
    if (typeof result?.then === "function") result.then(resolve, reject);
    else if (handler.length < 3) resolve(result);
  });
}

let handler;
try {
  handler = await load();
} catch (error) {
  console.error(error);
  await request("POST", "/init/error", described(error));
  process.exit(1);
}
for (;;) {
  const { headers, body } = await request("GET", "/invocation/next");
  const id = headers["lambda-runtime-aws-request-id"];
  const deadline = Number(headers["lambda-runtime-deadline-ms"]);
  process.env._X_AMZN_TRACE_ID = headers["lambda-runtime-trace-id"] ?? "";
  const context = {
    awsRequestId: id,
    invokedFunctionArn: headers["lambda-runtime-invoked-function-arn"],
    functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
    functionVersion: process.env.AWS_LAMBDA_FUNCTION_VERSION,
    memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: process.env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: process.env.AWS_LAMBDA_LOG_STREAM_NAME,
    clientContext: JSON.parse(headers["lambda-runtime-client-context"] ?? "null") ?? undefined,
    getRemainingTimeInMillis: () => Math.max(0, deadline - Date.now()),
  };
  try {
    const result = await run(handler, JSON.parse(body), context);
    await request("POST", `/invocation/${id}/response`, JSON.stringify(result ?? null));
  } catch (error) {
    console.error(error);
    await request("POST", `/invocation/${id}/error`, described(error));
  }
}
