// Nothing is fetched from elsewhere: no fonts, no proxy, no agent, no telemetry.
Scalar.createApiReference("#reference", {
  url: "/openapi.json",
  withDefaultFonts: false,
  telemetry: false,
  agent: { disabled: true },
  mcp: { disabled: true },
  showDeveloperTools: "never",
  hideClientButton: true,
  documentDownloadType: "json",
  metaData: { title: "API · Madan Sara" },
});
