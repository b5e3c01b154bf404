/** Does the loaded graph keep what the manifest promises to clients? */
import type { Manifest, TensorSignature } from "@millrace/contracts";
import type { Graph, Port } from "./graph.ts";
import { dtypeOf } from "./tensor.ts";

/**
 * Every difference between manifest and graph, one sentence each; empty when they agree. The manifest names all of the
 * graph's inputs, and any of its outputs.
 */
export function signatureMistakes(manifest: Manifest, graph: Pick<Graph, "inputs" | "outputs">): string[] {
  const declared = new Set(manifest.inputs.map((input) => input.name));
  return [
    ...manifest.inputs.flatMap((input) => mistakesOf("input", input, graph.inputs)),
    ...manifest.outputs.flatMap((output) => mistakesOf("output", output, graph.outputs)),
    ...graph.inputs
      .filter((port) => !declared.has(port.name))
      .map((port) => `the graph needs the input "${port.name}", which the manifest does not declare`),
  ];
}

function mistakesOf(kind: "input" | "output", declared: TensorSignature, ports: readonly Port[]): string[] {
  const label = `${kind} "${declared.name}"`;
  const mistakes: string[] = [];
  const { features, shape, datatype } = declared;
  if (shape[0] !== -1) mistakes.push(`${label} must have -1 as its first dimension, the batch`);
  if (features && features.length !== shape.at(-1)) {
    mistakes.push(`${label} names ${features.length} features, but its last axis is ${shape.at(-1)}`);
  }
  const dtype = dtypeOf(datatype);
  if (!dtype) mistakes.push(`${label} is ${datatype}, which TensorFlow.js cannot compute with; use FP32`);
  const port = ports.find((candidate) => candidate.name === declared.name);
  if (!port) {
    const names = ports.map((candidate) => `"${candidate.name}"`).join(", ");
    return [...mistakes, `${label} is not in the graph, which has ${names || "none"}`];
  }
  if (dtype && port.dtype !== dtype) mistakes.push(`${label} is ${datatype}, but the graph's is ${port.dtype}`);
  if (port.shape.length !== shape.length || port.shape.some((size, axis) => size !== shape[axis])) {
    mistakes.push(`${label} is declared as [${shape}], but the graph's is [${port.shape}]`);
  }
  return mistakes;
}
