// Sound of this computer's microphone, as a WAV file of one channel and 16 bits.
import { guarded, made } from "./common.js";

// The rates that browsers resample to, and the longest recording, in seconds, which is kept in memory until it ends.
export const [LEAST_RATE, MOST_RATE, MOST_SECONDS] = [8000, 96000, 600];

// Listen until `stop` is called, which gives the file, or for the longest time; `tell` gets the seconds so far, the highest
// sample of the last of them, and why there will be no more, "" while there are.
export async function listen(rate, tell, longest = MOST_SECONDS) {
  if (!Number.isInteger(rate) || rate < LEAST_RATE || rate > MOST_RATE) {
    throw new Error(`A browser records ${LEAST_RATE} to ${MOST_RATE} samples a second, not ${rate}.`);
  }
  if (!navigator.mediaDevices) throw new Error("This browser gives pages no microphone.");
  let stream;
  try {
    // Nothing is suppressed or made louder, as on a microcontroller.
    stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false } });
  } catch (error) {
    throw new Error(error.name === "NotFoundError" ? "There is no microphone." : `The browser gives no microphone: ${error.message || error.name}.`);
  }
  const close = () => stream.getTracks().forEach((track) => track.stop());
  const blocks = [];
  let context, source, over = false, count = 0, peak = 0;
  const end = (why) => {
    over = true;
    close();
    tell(count / rate, peak, why);
  };
  try {
    context = new AudioContext({ sampleRate: rate });
    await context.audioWorklet.addModule("/static/samples.worklet.js");
    const node = new AudioWorkletNode(context, "samples", { numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit" });
    node.port.onmessage = ({ data }) => {
      if (over) return;
      blocks.push(data);
      const before = Math.floor((2 * count) / rate);
      count += data.length;
      for (const sample of data) peak = Math.max(peak, Math.abs(sample));
      if (count >= longest * rate) end("the longest recording");
      else if (Math.floor((2 * count) / rate) > before) {
        tell(count / rate, peak, "");
        peak = 0;
      }
    };
    // Not on `close`, but where the microphone is unplugged or taken away.
    for (const track of stream.getTracks()) track.addEventListener("ended", () => end("the microphone is gone"));
    source = context.createMediaStreamSource(stream);
    source.connect(node);
    await context.resume();
  } catch (error) {
    close();
    await context?.close();
    throw new Error(`The browser does not record ${rate} samples a second: ${error.message || error.name}.`);
  }
  return {
    async stop() {
      close();
      source.disconnect(); // held until here, as browsers collect a source that nothing refers to
      await context.close();
      if (!count) throw new Error("The microphone gave no sample.");
      return wav(blocks, count, rate);
    },
  };
}

// A button that records, and ends the recording where it is pressed again; `rate` is asked at the beginning, `done` gets the file.
export function recorder(button, rate, state, done) {
  const says = button.textContent;
  const stay = (event) => event.preventDefault(); // asks before the page is left, with which a recording ends
  let recording = null;
  const level = (seconds, peak, why) => {
    if (recording === null) return; // what came on while it ended
    // Not read out twice a second, but where it ends.
    state.setAttribute("aria-live", why ? "polite" : "off");
    state.textContent = why ? `${seconds.toFixed(1)} s, ${why}: stop it to keep it` : `${seconds.toFixed(1)} s, peaks at ${(100 * peak).toFixed(1)} % of full scale`;
  };
  button.addEventListener("click", () => guarded(button, async () => {
    if (recording === null) {
      recording = await listen(rate(), level);
      addEventListener("beforeunload", stay);
      button.textContent = "Stop recording";
      return;
    }
    const ended = recording;
    recording = null;
    button.textContent = says;
    state.textContent = "";
    state.removeAttribute("aria-live");
    try {
      await kept(await ended.stop(), state, done);
    } finally {
      removeEventListener("beforeunload", stay);
    }
  }));
}

// What is not taken, as its set was deleted meanwhile or the studio has ended, can be saved as a file.
async function kept(file, state, done) {
  try {
    await done(file);
  } catch (error) {
    state.append(" ", made("a", { href: URL.createObjectURL(file), download: file.name }, `Save ${file.name}`));
    throw error;
  }
}

function wav(blocks, count, rate) {
  const bytes = new DataView(new ArrayBuffer(44 + 2 * count));
  const text = (at, letters) => [...letters].forEach((letter, n) => bytes.setUint8(at + n, letter.charCodeAt(0)));
  text(0, "RIFF");
  bytes.setUint32(4, 36 + 2 * count, true);
  text(8, "WAVEfmt ");
  bytes.setUint32(16, 16, true);
  bytes.setUint16(20, 1, true); // integers
  bytes.setUint16(22, 1, true); // of one channel
  bytes.setUint32(24, rate, true);
  bytes.setUint32(28, 2 * rate, true);
  bytes.setUint16(32, 2, true);
  bytes.setUint16(34, 16, true);
  text(36, "data");
  bytes.setUint32(40, 2 * count, true);
  let at = 44;
  for (const block of blocks) {
    for (const sample of block) {
      bytes.setInt16(at, Math.max(-32768, Math.min(32767, Math.round(32768 * sample))), true);
      at += 2;
    }
  }
  const name = `microphone-${new Date().toISOString().replace(/[:.]/g, "-").slice(0, 19)}.wav`;
  return new File([bytes], name, { type: "audio/wav" });
}
