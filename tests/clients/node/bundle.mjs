// Packs the client library for browsers, with all that it needs, into one file that a page can import.
import { build } from 'esbuild';
import standard from 'node-stdlib-browser';
import plugin from 'node-stdlib-browser/helpers/esbuild/plugin';

await build({
  stdin: { contents: "export * from 'taskcluster-client-web';", resolveDir: import.meta.dirname },
  outfile: 'web/taskcluster.js',
  bundle: true,
  format: 'esm',
  platform: 'browser',
  // its Hawk signs with what Node brings along
  inject: ['node-stdlib-browser/helpers/esbuild/shim'].map((name) => new URL(import.meta.resolve(name)).pathname),
  define: { global: 'global', process: 'process', Buffer: 'Buffer' },
  plugins: [plugin(standard)],
  logLevel: 'error',
});
