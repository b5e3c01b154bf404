export {
  FAILURE_RISK,
  failureRiskQuality,
  labelledReadings,
  type RiskTraining,
  trainFailureRisk,
} from "./failure-risk.ts";
export type { BinaryQuality, LifeQuality } from "./quality.ts";
export { LIFE_CAP, TURBOFAN_RUL, type TurbofanTraining, trainTurbofan, turbofanQuality } from "./turbofan.ts";
