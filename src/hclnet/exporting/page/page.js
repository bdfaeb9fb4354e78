// The page: a photograph is decoded, squashed, run and drawn. Nothing is sent anywhere.

import * as ort from './ort/ort.wasm.bundle.min.mjs';
import { boxOf } from './boxes.js';
import { square } from './squares.js';

const SHOWN = 5;  // classes to choose from
const element = (id) => document.getElementById(id);
const say = (text) => { element('said').textContent = text; };

let about, session, seen = null, turn = 0;

async function load() {
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmPaths = { wasm: new URL('ort/ort-wasm-simd-threaded.wasm', import.meta.url).href };
  about = await (await fetch('about.json')).json();
  session = await ort.InferenceSession.create('model.onnx', { executionProviders: ['wasm'] });
  element('about').textContent = `${about.classes.length} classes: ${about.classes.slice(0, 12).join(', ')}`
    + (about.classes.length > 12 ? ' ...' : '');
  element('file').disabled = false;
}

// Upright, on white, in its own colors.
async function decoded(file) {
  const bitmap = await createImageBitmap(file, { imageOrientation: 'from-image', colorSpaceConversion: 'none' });
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.fillStyle = '#fff';
  context.fillRect(0, 0, bitmap.width, bitmap.height);
  context.drawImage(bitmap, 0, 0);
  return { bitmap, pixels: context.getImageData(0, 0, bitmap.width, bitmap.height).data };
}

async function open(file) {
  const mine = ++turn;
  say('Looking ...');
  let picture;
  try {
    picture = await decoded(file);
  } catch {
    say(`${file.name} is no image that this browser can decode. Choose a JPEG, PNG or WebP.`);
    return;
  }
  const { bitmap, pixels } = picture, squares = {};
  const add = (name, side) => {
    squares[name] = new ort.Tensor('uint8', square(pixels, bitmap.width, bitmap.height, side), [1, side, side, 3]);
  };
  for (const side of about.sides.image) add(`image_${side}`, side);
  if (about.sides.crops) add(`crops_${about.sides.crops}`, about.sides.crops);
  if (mine !== turn) return;
  seen = { name: file.name, bitmap, squares };
  await locate(-1);
}

async function locate(asked) {
  const { squares, bitmap } = seen, mine = turn;
  const outputs = await session.run({ ...squares, classes: new ort.Tensor('int64', [BigInt(asked)], [1, 1]) });
  if (mine !== turn) return;
  const settings = about.inference, probabilities = outputs.probabilities.data;
  const label = Number(outputs.classes_used.data[0]), name = about.classes[label], score = probabilities[label];
  const found = boxOf(outputs, settings);
  const nothing = name === settings.background_class || score < settings.min_score || !found.box;
  const scale = [bitmap.width / settings.map_size, bitmap.height / settings.map_size];
  const box = nothing ? null : found.box.map((value, k) => value * scale[k % 2]);
  seen.result = { label: name, score, box, heat: found.heat };
  choices(probabilities, label);
  draw();
  say(box ? `${name}, ${(100 * score).toFixed(0)} %` : `No object: ${name}, ${(100 * score).toFixed(0)} %`);
  document.body.dataset.result = JSON.stringify({ name: seen.name, label: name, score, box });
}

function choices(probabilities, label) {
  const ranked = [...probabilities.keys()].sort((a, b) => probabilities[b] - probabilities[a]).slice(0, SHOWN);
  element('classes').replaceChildren(...[...new Set([...ranked, label])].map((k) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = `${about.classes[k]} ${(100 * probabilities[k]).toFixed(0)} %`;
    button.setAttribute('aria-pressed', k === label);
    button.onclick = () => locate(k);
    return button;
  }));
}

function draw() {
  const { bitmap, result } = seen, canvas = element('picture'), context = canvas.getContext('2d');
  [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
  context.drawImage(bitmap, 0, 0);
  if (element('map').checked) {
    const side = about.inference.map_size, colors = new ImageData(side, side);
    result.heat.forEach((value, k) => colors.data.set([255, 60, 0, 160 * value], 4 * k));
    const layer = new OffscreenCanvas(side, side);
    layer.getContext('2d').putImageData(colors, 0, 0);
    context.drawImage(layer, 0, 0, bitmap.width, bitmap.height);
  }
  if (result.box) {
    const [x0, y0, x1, y1] = result.box;
    for (const [color, width] of [['#000', 6], ['#fff', 3]]) {
      context.strokeStyle = color;
      context.lineWidth = width * Math.max(1, bitmap.width / 600);
      context.strokeRect(x0, y0, x1 - x0, y1 - y0);
    }
  }
  element('caption').textContent = result.box
    ? `${result.label}: ${result.box.map((value) => value.toFixed(0)).join(', ')} (x0, y0, x1, y1 in pixels)` : '';
  element('found').hidden = element('show').hidden = false;
}

const drop = element('drop');
element('file').onchange = ({ target }) => { if (target.files[0]) open(target.files[0]); };
element('map').onchange = draw;
drop.ondragover = (event) => { event.preventDefault(); drop.classList.add('over'); };
drop.ondragleave = () => drop.classList.remove('over');
drop.ondrop = (event) => {
  event.preventDefault();
  drop.classList.remove('over');
  if (session && event.dataTransfer.files[0]) open(event.dataTransfer.files[0]);
};
load().then(() => { document.body.dataset.ready = 'yes'; }, (error) => say(`The model can't be loaded: ${error.message}`));
