/**
 * The parts of rhea 3.0.5 that the broker stands on: framing, types, SASL and endpoint state. rhea's own typings describe
 * a client; a broker also needs the internals below, so they are declared here, exactly as far as they are used.
 */
declare module "rhea/lib/types.js" {
  import type { Types } from "./rhea.ts";

  const types: Types;
  export default types;
}
declare module "rhea/lib/frames.js" {
  import type { Frames } from "./rhea.ts";

  const frames: Frames;
  export default frames;
}
declare module "rhea/lib/message.js" {
  import type { MessageCodec } from "./rhea.ts";

  const message: MessageCodec;
  export default message;
}
declare module "rhea/lib/container.js" {
  import type { Container } from "./rhea.ts";

  const container: Container;
  export default container;
}
