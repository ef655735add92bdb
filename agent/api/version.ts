/** Version of the wire contract. A client and an agent that differ in it refuse each other. */
export const apiVersion = 1;

/** Largest message either side accepts, in bytes. */
export const maximumMessageSize = 4 * 1024 * 1024;

/** Largest lab document, in bytes of UTF-8. */
export const maximumDocumentSize = 1024 * 1024;

/** Version of the program, as in package.json (a test compares them). */
export const programVersion = '0.1.0';
