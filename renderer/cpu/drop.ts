/** What is dragged onto a group. Its type can be read while it is dragged, what it is only when it is dropped. */

/** A node or a process that the document runs: `{ node, run }`. */
export const bindableType = 'application/x-netloom-bindable';
/** A process that runs: its pid. */
export const processType = 'application/x-netloom-process';
