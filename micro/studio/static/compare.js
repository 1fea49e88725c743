// Runs side by side: the command that says whether one is better by more than chance.
import { on, one, post } from "./common.js";

on("compare", async () => {
  const job = await post("/api/compare", { runs: one("compare").dataset.runs.split(" ") });
  location.href = `/jobs/${job.id}`;
});
