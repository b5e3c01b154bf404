import { type Bus, listenOutcomes, type StoredOutcome } from "@millrace/bus";
import type { RequestAddress } from "@millrace/contracts";

/**
 * Listeners of one model at once from which on they share a subscription. Below it each has its own, and this process
 * receives no outcome that nobody here wants. A subscription per request costs broker and client some 150 µs of CPU
 * together, more than looking at ten outcomes that are not wanted: where many wait, most outcomes are.
 */
const SHARED_FROM = 8;

type OnOutcome = (outcome: StoredOutcome) => void;

/** Who listens to a model's outcomes. */
type Model = {
  own: number;
  /** By request id. */
  sharing: Map<string, OnOutcome>;
  subscription?: Disposable;
};

/** Hears the outcome of a request as it is stored: at most once, for each id one listener at a time. */
export function openLiveOutcomes(bus: Bus): { listen(of: RequestAddress, onOutcome: OnOutcome): Disposable } {
  const models = new Map<string, Model>();

  return {
    listen(of, onOutcome) {
      const name = `${of.tenant}.${of.project}.${of.model}`;
      const model = models.get(name) ?? { own: 0, sharing: new Map() };
      models.set(name, model);
      const release =
        model.own + model.sharing.size < SHARED_FROM ? alone(model, of, onOutcome) : share(model, of, onOutcome);
      return {
        [Symbol.dispose]() {
          release();
          if (model.own + model.sharing.size === 0) models.delete(name);
        },
      };
    },
  };

  function alone(model: Model, of: RequestAddress, onOutcome: OnOutcome): () => void {
    const subscription = listenOutcomes(bus, of, onOutcome);
    model.own++;
    return () => {
      subscription[Symbol.dispose]();
      model.own--;
    };
  }

  function share(model: Model, { id, ...of }: RequestAddress, onOutcome: OnOutcome): () => void {
    const { sharing } = model;
    model.subscription ??= listenOutcomes(
      bus,
      { tenant: of.tenant, project: of.project, model: of.model },
      (outcome) => sharing.get(outcome.address.id)?.(outcome),
      { wants: (id) => sharing.has(id) },
    );
    sharing.set(id, onOutcome);
    return () => {
      if (sharing.get(id) === onOutcome) sharing.delete(id);
      if (sharing.size > 0) return;
      model.subscription?.[Symbol.dispose]();
      delete model.subscription;
    };
  }
}
