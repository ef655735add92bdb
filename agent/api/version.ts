/** Version of the wire contract. A client and an agent that differ in it refuse each other. */
export const apiVersion = 1;

/** Largest message either side accepts, in bytes. */
export const maximumMessageSize = 4 * 1024 * 1024;

/** Largest lab document, in bytes of UTF-8. */
export const maximumDocumentSize = 1024 * 1024;
