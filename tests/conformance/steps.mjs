// What a host does in a scenario: the same for all where the suite lets it, so that nothing is tuned to a check.

/** Everything that a host may offer; the bridge must carry it to the server. */
export const CAPABILITIES = { roots: {}, sampling: {}, elicitation: { form: {} } };

const ONLY_LISTS = new Set(["json-schema-ref-no-deref"]);
/** Its answer lacks what this revision demands; what is judged is that nobody repeats the call, not that the SDK objects. */
const INCOMPLETE_ON_PURPOSE = "test_mrtr_no_result_type";
const PATIENCE = { timeout: 60_000 };

/** Answers the server's questions: by the defaults that it gives, else by a value of the right type. */
export function answerQuestions(session, scenario) {
  session.setRequestHandler("elicitation/create", async ({ params }) => {
    if (scenario === "sep-2322-client-request-state") {
      // Another call while one waits for its answer: nothing of the one may reach the other.
      await session.callTool({ name: "test_mrtr_unrelated", arguments: {} });
    }
    return { action: "accept", content: typed(params.requestedSchema) };
  });
  session.setRequestHandler("roots/list", async () => ({ roots: [] }));
  session.setRequestHandler("sampling/createMessage", async () => ({
    model: "none",
    role: "assistant",
    content: { type: "text", text: "none" },
  }));
}

/** Lists what there is and uses all of it. */
export async function perform(session, scenario, context) {
  const { tools } = await session.listTools(undefined, PATIENCE);
  if (ONLY_LISTS.has(scenario)) return;

  const schema = tools.find((tool) => tool.name === "json_schema_2020_12_tool")?.inputSchema;
  const calls = schema
    ? [{ name: "json_schema_echo", arguments: { schema } }]
    : (context.toolCalls ?? tools.map((tool) => ({ name: tool.name, arguments: typed(tool.inputSchema) })));
  for (const call of calls) {
    const called = session.callTool(call, PATIENCE);
    await (call.name === INCOMPLETE_ON_PURPOSE ? called.catch(() => {}) : called);
  }

  const offered = session.getServerCapabilities() ?? {};
  if (offered.prompts) {
    const { prompts } = await session.listPrompts();
    for (const prompt of prompts) {
      const values = Object.fromEntries((prompt.arguments ?? []).map(({ name }) => [name, "text"]));
      await session.getPrompt({ name: prompt.name, arguments: values });
    }
  }
  if (offered.resources) {
    const { resources } = await session.listResources();
    for (const { uri } of resources) await session.readResource({ uri });
  }
}

/** An object that fits the schema: its defaults, else a plain value of each property's type. */
function typed(schema) {
  const plain = { string: "text", number: 2.5, integer: 3, boolean: true, array: [], object: {}, null: null };
  const value = (property) => {
    if (property.default !== undefined) return property.default;
    if (property.enum) return property.enum[0];
    return plain[property.type];
  };
  return Object.fromEntries(
    Object.entries(schema?.properties ?? {})
      .map(([name, property]) => [name, value(property)])
      .filter(([, given]) => given !== undefined),
  );
}
