// The table of operations in the browser: the same rules as `refusal` in machines/operation_table.py, same order.

import { say, table, words } from "./words.js";

const rightWord = (right) => Object.entries(table.rights).find(([, value]) => value === right)?.[0] ?? "";

/** The states that allow an operation, in words: "running, idle or paused". */
export function allowed(name) {
  const states = table.operations[name].states.map((state) => table.states[state]);
  const last = states.pop();
  return states.length ? say(words.either, { others: states.join(", "), last }) : last;
}

/**
 * Why an operation is not possible now: {code, sentence}, or null when it is.
 * facts: {state, right, reachable, operation: kind of the open one or null, facts: what else is true of the machine,
 * closed: why a maintenance lets nothing new begin, or empty; full: why its owner may run no more machines, or empty}
 */
export function refusal(name, { state, right, reachable, operation, facts, closed = "", full = "" }) {
  const kind = table.operations[name];
  const sentences = table.sentences;
  const first = operation ? table.operations[operation] : null;
  if (right < kind.right) {
    return { code: "forbidden", sentence: say(sentences.forbidden, { right: rightWord(kind.right) }) };
  }
  if (closed && right < table.rights.admin) return { code: "maintenance", sentence: closed };
  if (!reachable) return { code: "host_unreachable", sentence: sentences.host_unreachable };
  if (first && (first.preempts || !kind.preempts)) {
    return { code: "operation_conflict", sentence: say(sentences.operation_conflict, { operation: first.doing }) };
  }
  if (!kind.states.includes(state)) {
    const values = { state: table.states[state], operation: kind.label, allowed: allowed(name) };
    return { code: "state_conflict", sentence: say(sentences.state_conflict, values) };
  }
  const missing = kind.requires.find((fact) => !facts.includes(fact));
  if (missing) return { code: "state_conflict", sentence: table.missing[missing] };
  return full && kind.runs ? { code: "quota_exceeded", sentence: full } : null;
}

/** What of all that operations require is true of a machine, as its payload says. */
export const factsIn = (machine) => Object.keys(table.missing).filter((fact) => machine[fact]);

export const isActive = (state) => table.active.includes(state);
export const suggested = (state) => table.suggested[state] ?? [];
export const rightOf = (word) => table.rights[word] ?? 0;
