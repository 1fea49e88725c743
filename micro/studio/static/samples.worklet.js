// Runs beside the page, on the audio thread: hands each block of the first channel's samples to it.
class Samples extends AudioWorkletProcessor {
  process([input]) {
    if (input.length) this.port.postMessage(input[0].slice());
    return true;
  }
}
registerProcessor("samples", Samples);
