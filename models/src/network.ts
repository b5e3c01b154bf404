/**
 * The one architecture of the models here: a multilayer perceptron that takes raw units. It is trained on normalised
 * input, which trains best, and served with the normalisation inside, so that clients send what their sensors show.
 */
import type { TensorFlow } from "@millrace/tensorflow";
import type { LayersModel, SymbolicTensor } from "@tensorflow/tfjs";
import { createRandom, shuffle } from "./random.ts";

export interface NetworkShape {
  readonly name: string;
  readonly input: string;
  /** Of one row; the last axis holds the features. */
  readonly inputShape: readonly number[];
  readonly hidden: readonly number[];
  readonly output: string;
  /** The network's sigmoid is multiplied by this: 1 for a probability, the cap for a bounded quantity. */
  readonly outputScale: number;
}

export interface Examples {
  /** Row-major raw readings, `rows` times the product of the input shape. */
  readonly inputs: Float32Array;
  /** One per row, in the output's unit. */
  readonly targets: Float32Array;
}

export interface TrainingOptions {
  readonly seed: number;
  readonly epochs: number;
  readonly batchSize: number;
  readonly learningRate: number;
  readonly loss: "binaryCrossentropy" | "meanSquaredError";
  readonly dropout?: number;
  /** L2 penalty on the hidden weights. */
  readonly l2?: number;
  readonly onEpoch?: (epoch: number, loss: number) => void;
}

/** The trained model, taking raw readings, and the mean loss of each epoch. The caller disposes of the model. */
export interface Trained {
  readonly model: LayersModel;
  readonly losses: readonly number[];
}

/** Trains from scratch. Equal arguments on one backend give equal weights. */
export async function trainNetwork(
  tf: TensorFlow,
  { shape, examples, options }: { shape: NetworkShape; examples: Examples; options: TrainingOptions },
): Promise<Trained> {
  const { seed, epochs, batchSize, learningRate, loss, dropout = 0, l2 = 0 } = options;
  const features = shape.inputShape.at(-1)!;
  const width = shape.inputShape.reduce((product, size) => product * size, 1);
  const statistics = featureStatistics(examples.inputs, features);

  const hidden = shape.hidden.flatMap((units, i) => [
    tf.layers.dense({
      units,
      activation: "relu",
      name: `hidden_${i + 1}`,
      kernelInitializer: tf.initializers.heUniform({ seed: seed + i }),
      ...(l2 > 0 ? { kernelRegularizer: tf.regularizers.l2({ l2 }) } : {}),
    }),
    ...(dropout > 0 ? [tf.layers.dropout({ rate: dropout, seed: seed + 100 + i, name: `dropout_${i + 1}` })] : []),
  ]);
  const sigmoid = tf.layers.dense({
    units: 1,
    activation: "sigmoid",
    name: shape.outputScale === 1 ? shape.output : "share",
    kernelInitializer: tf.initializers.glorotUniform({ seed: seed + 99 }),
  });
  const through = (x: SymbolicTensor): SymbolicTensor =>
    [...hidden, sigmoid].reduce((y, layer) => layer.apply(y) as SymbolicTensor, x);

  const flat = tf.input({ shape: [width], name: "normalised" });
  const trainee = tf.model({ inputs: flat, outputs: through(flat), name: `${shape.name}-trainee` });
  const optimizer = tf.train.adam(learningRate);
  trainee.compile({ optimizer, loss });

  const normalised = normalise(examples.inputs, statistics);
  const targets = examples.targets.map((target) => target / shape.outputScale);
  const rows = targets.length;
  const order = Uint32Array.from({ length: rows }, (_, i) => i);
  const random = createRandom(seed, 1);
  const losses: number[] = [];
  for (let epoch = 0; epoch < epochs; epoch++) {
    shuffle(order, random);
    // The typings hide the rate of the optimizer, which Adam reads on each step.
    (optimizer as unknown as { learningRate: number }).learningRate = learningRate * cosineDecay(epoch / epochs);
    let total = 0;
    for (let at = 0; at < rows; at += batchSize) {
      const picked = order.subarray(at, at + batchSize);
      const inputs = gather(normalised, picked, width);
      total += (await step(tf, trainee, { inputs, targets: gather(targets, picked, 1) })) * picked.length;
    }
    losses.push(total / rows);
    options.onEpoch?.(epoch, total / rows);
  }
  const model = servingModel(tf, { shape, statistics, through });
  trainee.dispose(); // its layers live on in the served model
  optimizer.dispose();
  return { model, losses };
}

interface Statistics {
  readonly mean: Float32Array;
  readonly variance: Float32Array;
}

/** The trained layers between normalisation in front and the unit of the output behind. */
function servingModel(
  tf: TensorFlow,
  of: { shape: NetworkShape; statistics: Statistics; through: (x: SymbolicTensor) => SymbolicTensor },
): LayersModel {
  const { shape, statistics, through } = of;
  const raw = tf.input({ shape: [...shape.inputShape], name: shape.input });
  // Batch normalisation at inference is (x - mean) / sqrt(variance + epsilon): exactly what is wanted, and in every
  // backend. Its numbers are set here and never trained.
  const normalisation = tf.layers.batchNormalization({
    center: false,
    scale: false,
    epsilon: EPSILON,
    name: "normalise",
  });
  let x = normalisation.apply(raw) as SymbolicTensor;
  if (shape.inputShape.length > 1) x = tf.layers.flatten({ name: "flatten" }).apply(x) as SymbolicTensor;
  x = through(x);
  if (shape.outputScale !== 1) {
    const scale = tf.layers.dense({ units: 1, useBias: false, name: shape.output });
    x = scale.apply(x) as SymbolicTensor;
    tf.tidy(() => scale.setWeights([tf.tensor2d([[shape.outputScale]])]));
  }
  tf.tidy(() => normalisation.setWeights([tf.tensor1d(statistics.mean), tf.tensor1d(statistics.variance)]));
  return tf.model({ inputs: raw, outputs: x, name: shape.name });
}

/** Keeps a constant feature from becoming infinite. */
const EPSILON = 1e-6;

function featureStatistics(inputs: Float32Array, features: number): Statistics {
  const count = inputs.length / features;
  const mean = new Float64Array(features);
  const variance = new Float64Array(features);
  for (let i = 0; i < inputs.length; i++) mean[i % features]! += inputs[i]! / count;
  for (let i = 0; i < inputs.length; i++) variance[i % features]! += (inputs[i]! - mean[i % features]!) ** 2 / count;
  return { mean: Float32Array.from(mean), variance: Float32Array.from(variance) };
}

function normalise(inputs: Float32Array, { mean, variance }: Statistics): Float32Array {
  const scale = variance.map((value) => 1 / Math.sqrt(value + EPSILON));
  return inputs.map((value, i) => (value - mean[i % mean.length]!) * scale[i % scale.length]!);
}

function gather(values: Float32Array, rows: Uint32Array, width: number): Float32Array {
  const picked = new Float32Array(rows.length * width);
  for (const [to, row] of rows.entries()) picked.set(values.subarray(row * width, (row + 1) * width), to * width);
  return picked;
}

/** One gradient step; the loss before it. */
async function step(tf: TensorFlow, model: LayersModel, { inputs, targets }: Examples): Promise<number> {
  const x = tf.tensor2d(inputs, [targets.length, inputs.length / targets.length]);
  const y = tf.tensor2d(targets, [targets.length, 1]);
  const loss = await model.trainOnBatch(x, y);
  tf.dispose([x, y]);
  return Array.isArray(loss) ? loss[0]! : loss;
}

/** From 1 down to 0.02 over the training. */
const cosineDecay = (share: number): number => 0.02 + 0.98 * 0.5 * (1 + Math.cos(Math.PI * share));
