/**
 * Who takes over from a back end, and so holds its journal (P7.2, P8.1): the next one in the configuration's order that is
 * up, after the last comes the first. One function for kits and loggers; where their views of who is up differ, a successor
 * asks all kits for the record.
 *
 * @param order every back end, in the configuration's order
 * @param self whose alternate is wanted; must be in `order`
 * @returns undefined when no other one is up
 */
export function alternateOf<T>(order: readonly T[], self: T, isUp: (member: T) => boolean): T | undefined {
  const at = order.indexOf(self);
  return [...order.slice(at + 1), ...order.slice(0, at)].find(member => member !== self && isUp(member));
}
