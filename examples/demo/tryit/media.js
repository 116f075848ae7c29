// A picture, a sound and a film, made in the page: real files without a camera and without a microphone.

export async function picture(words) {
  const canvas = paper(640, 360);
  draw(canvas, words, 0);
  return new Promise((resolve) => canvas.toBlob(resolve, 'image/png'));
}

/** A chime, as WAV. */
export function sound(seconds = 2) {
  const rate = 8000;
  const samples = rate * seconds;
  const view = new DataView(new ArrayBuffer(44 + samples * 2));
  const text = (at, letters) => [...letters].forEach((letter, n) => view.setUint8(at + n, letter.charCodeAt(0)));
  text(0, 'RIFF');
  view.setUint32(4, 36 + samples * 2, true);
  text(8, 'WAVEfmt ');
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, rate * 2, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  text(36, 'data');
  view.setUint32(40, samples * 2, true);
  const notes = [523.25, 659.25, 783.99];
  for (let n = 0; n < samples; n++) {
    const second = n / rate;
    const note = Math.min(notes.length - 1, Math.floor(second / 0.4));
    const since = second - note * 0.4;
    view.setInt16(44 + n * 2, Math.sin(2 * Math.PI * notes[note] * second) * Math.exp(-3 * since) * 9000, true);
  }
  return { blob: new Blob([view.buffer], { type: 'audio/wav' }), duration_ms: seconds * 1000 };
}

export const canFilm = typeof MediaRecorder !== 'undefined' && MediaRecorder.isTypeSupported('video/webm');

/** A film of about a second, as WebM. */
export function film(words) {
  const canvas = paper(320, 180);
  const recorder = new MediaRecorder(canvas.captureStream(15), { mimeType: 'video/webm' });
  const chunks = [];
  let turn = 0;
  draw(canvas, words, turn);
  const timer = setInterval(() => draw(canvas, words, ++turn), 66);
  return new Promise((resolve) => {
    recorder.ondataavailable = (event) => chunks.push(event.data);
    recorder.onstop = () => {
      clearInterval(timer);
      resolve({ blob: new Blob(chunks, { type: 'video/webm' }), width: canvas.width, height: canvas.height, duration_ms: 1200 });
    };
    recorder.start();
    setTimeout(() => recorder.stop(), 1200);
  });
}

/** A moving picture in place of a camera. */
export function camera(words) {
  const canvas = paper(320, 180);
  let turn = 0;
  draw(canvas, words, turn);
  const timer = setInterval(() => draw(canvas, words, ++turn), 100);
  const stream = canvas.captureStream(10);
  return {
    stream,
    stop() {
      clearInterval(timer);
      stream.getTracks().forEach((track) => track.stop());
    },
  };
}

function paper(width, height) {
  const canvas = document.createElement('canvas');
  canvas.width = width;
  canvas.height = height;
  return canvas;
}

function draw(canvas, words, turn) {
  const { width, height } = canvas;
  const context = canvas.getContext('2d');
  const shade = context.createLinearGradient(0, 0, width, height);
  shade.addColorStop(0, '#0f5cc0');
  shade.addColorStop(1, '#1f8a55');
  context.fillStyle = shade;
  context.fillRect(0, 0, width, height);
  context.fillStyle = 'rgb(255 255 255 / 25%)';
  for (let n = 0; n < 5; n++) {
    context.beginPath();
    context.arc(width * (0.15 + n * 0.18), height * (0.5 + 0.3 * Math.sin(n + turn / 4)), height * 0.09, 0, 2 * Math.PI);
    context.fill();
  }
  context.fillStyle = '#fff';
  context.font = `600 ${Math.round(height / 9)}px system-ui, sans-serif`;
  context.fillText(words, width * 0.06, height * 0.2, width * 0.88);
}
