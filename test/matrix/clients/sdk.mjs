/** The calls that the SDK's clients have in common. */
export const sdkClient = (client, callTool) => ({
  tools: async () => (await client.listTools()).tools,
  call: (one, onProgress) =>
    callTool(one, {
      timeout: 10_000,
      ...(onProgress && { onprogress: ({ progress }) => onProgress(progress) }),
    }),
  close: () => client.close(),
});
