/** Rules of the project's own for its linter (oxlint's `jsPlugins`): no route without a scope, and none past the guard. */

/** Methods of a Hono app that make it serve something. */
const MOUNTING = new Set(
  "get post put patch delete options query all on use route mount basePath notFound".split(" "),
);

/** The name of an object's member; undefined where it is computed or spread. */
const nameOf = ({ key, computed }) => (computed ? undefined : (key?.name ?? key?.value));

export default {
  meta: { name: "holdfast" },
  rules: {
    "route-has-scope": {
      create: (context) => ({
        ObjectExpression(node) {
          const values = new Map(
            node.properties.map((property) => [nameOf(property), property.value]),
          );
          const describesRoute = values.has("operationId") && values.has("path");
          const scope = values.get("scope");
          if (!describesRoute || (scope && scope.name !== "undefined")) return;
          context.report({ node, message: "A route must say which scope it needs." });
        },
      }),
    },

    "no-mount": {
      create(context) {
        const message =
          "Only src/http/mount.ts makes an app and mounts: there the guard comes first.";
        /** The names that this file gives to Hono's class, and to its apps. */
        const classes = new Set();
        const apps = new Set(["app"]);
        return {
          ImportSpecifier({ imported, local }) {
            if (imported.name === "Hono") classes.add(local.name);
          },
          Identifier({ name, typeAnnotation }) {
            if (classes.has(typeAnnotation?.typeAnnotation?.typeName?.name)) apps.add(name);
          },
          NewExpression(node) {
            const { name, property } = node.callee;
            const isHono = classes.has(name) || property?.name === "Hono";
            if (isHono) context.report({ node, message });
          },
          CallExpression(node) {
            const { object, property } = node.callee;
            if (!MOUNTING.has(property?.name ?? property?.value)) return;
            // An app by its name, or by what it is asked for: a path and a handler for it.
            const [first, handler] = node.arguments;
            const takesPath = typeof first?.value === "string" && first.value.startsWith("/");
            if (!apps.has(object?.name) && !(takesPath && handler)) return;
            context.report({ node, message });
          },
        };
      },
    },
  },
};
