// The Node half of tools/wasm.py: starts CPython, unpacks the checkout, and runs
// wasm_inside.py.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [modules, archive, junit, ...words] = process.argv.slice(2);
try {
  const { loadPyodide } = await import(pathToFileURL(join(modules, "pyodide.mjs")).href);
  const python = await loadPyodide();
  python.unpackArchive(new Uint8Array(readFileSync(archive)), "zip", { extractDir: "/" });
  python.runPython("import sys; sys.path[:0] = ['/checkout/tools', '/packages']");
  process.exitCode = python.pyimport("wasm_inside").main(python.toPy(words));
  if (python.FS.analyzePath("/junit.xml").exists) {
    writeFileSync(junit, python.FS.readFile("/junit.xml"));
  }
} catch (error) {
  // Node prints an uncaught error with its line of source; pyodide's are very long.
  console.error(error.stack ?? error);
  process.exitCode = 3;
}
