// Starts Swagger UI. A file of its own because the page's policy allows no inline script.
"use strict";

const dark = matchMedia("(prefers-color-scheme: dark)");
const paint = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", paint);
paint();

const node = document.getElementById("docs");
SwaggerUIBundle({
  domNode: node,
  url: node.dataset.openapi,
  // Its default is a badge from a public validator: nothing here is loaded from elsewhere.
  validatorUrl: null,
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  tryItOutEnabled: true,
});
