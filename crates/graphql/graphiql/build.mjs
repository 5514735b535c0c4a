// Bundles GraphiQL from the versions that package-lock.json pins, into dist/: the script and the style sheet, minified
// and compressed, and the licences of everything in them. Needs Node.js 20 or newer with npm. Works in target/graphiql.
//
//   node build.mjs          builds
//   node build.mjs --check  builds, and fails if dist/ differs
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';

const here = dirname(fileURLToPath(import.meta.url));
const work = join(here, '../../../target/graphiql');
mkdirSync(work, { recursive: true });
for (const name of ['package.json', 'package-lock.json', 'main.jsx']) copyFileSync(join(here, name), join(work, name));
process.chdir(work);
execFileSync('npm', ['ci', '--silent', '--no-audit', '--no-fund', '--ignore-scripts'], { stdio: 'inherit' });
const { build } = createRequire(join(work, 'main.jsx'))('esbuild');

const built = await build({
  entryPoints: ['main.jsx'],
  bundle: true,
  minify: true,
  format: 'iife',
  target: 'es2022',
  jsx: 'automatic',
  define: { 'process.env.NODE_ENV': '"production"' },
  legalComments: 'none',
  metafile: true,
  write: false,
  outfile: 'graphiql.js',
});
const output = (end) => built.outputFiles.find((file) => file.path.endsWith(end)).text;
const script = output('.js');
// The fonts would be most of the style sheet. Fonts of the system take their places.
const style = output('.css').replace(/@font-face\{[^}]*\}/g, '');

// Returns the folder of the package that a bundled file belongs to.
function packageOf(file) {
  const [, folder] = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(file) ?? [];
  return folder;
}

const allowed = /^\(?(MIT|ISC|BSD-2-Clause|BSD-3-Clause|0BSD|Apache-2\.0)( OR .*)?\)?$/;
const folders = Object.values(built.metafile.outputs)
  .flatMap((file) => Object.entries(file.inputs))
  .filter(([, { bytesInOutput }]) => bytesInOutput > 0)
  .map(([file]) => packageOf(file))
  .filter(Boolean);
const licences = [...new Set(folders)]
  .map((folder) => {
    const { name, version, license, author } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    if (!allowed.test(license)) throw new Error(`${name} ${version} has the licence ${license}`);
    const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
    const by = author?.name ?? author;
    const text = file ? readFileSync(join(folder, file), 'utf8').trim() : `${license}${by ? `, by ${by}` : ''}`;
    return `${name} ${version} (${license})\n\n${text.replaceAll('\r', '')}\n`;
  })
  .sort()
  .join(`\n${'-'.repeat(80)}\n\n`);

const external = (text) => /(?:src|href)=["']https?:|@import|url\(["']?https?:/.exec(text);
for (const text of [script, style]) {
  if (external(text)) throw new Error(`the bundle loads something from outside: ${external(text)[0]}`);
}

const files = { 'graphiql.js.gz': script, 'graphiql.css.gz': style, 'licences.txt.gz': licences };
const isCheck = process.argv.includes('--check');
mkdirSync(join(here, 'dist'), { recursive: true });
for (const [name, text] of Object.entries(files)) {
  const path = join(here, 'dist', name);
  if (isCheck) {
    // The compressed bytes depend on the version of Node.js; what they hold does not.
    const committed = existsSync(path) ? gunzipSync(readFileSync(path)).toString() : '';
    if (committed !== text) throw new Error(`${path} is not what the pinned versions give: run build.mjs`);
  } else {
    writeFileSync(path, gzipSync(text, { level: 9 }));
  }
  console.log(`${name}: ${readFileSync(path).length} bytes, ${text.length} characters`);
}
