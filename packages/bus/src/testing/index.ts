export { NO_FAULTS } from "./faults.ts";
export { insist, type Job, type JobOptions, PROJECT, requestOf, submitJobs, TENANT } from "./requests.ts";
export { forScenarios, type Scenario, scenarios } from "./scenario.ts";
export { type Report, type Simulation, simulate } from "./simulation.ts";
export { type Handle, KINDS, kindOf, plainHandler, runWorkers } from "./workers.ts";
