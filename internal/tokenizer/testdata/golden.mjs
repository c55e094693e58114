// Fills golden.json in the folders named on the command line with what Hugging
// Face's own library makes of tokenizer.json beside it. Run it by hand after
// go test -run TestGolden -update, in a folder where this was said once:
//   npm install @huggingface/tokenizers@0.2.0 @huggingface/jinja@0.5
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(join(process.cwd(), "package.json"));
const { Tokenizer } = require("@huggingface/tokenizers");
const { Template } = require("@huggingface/jinja");

for (const dir of process.argv.slice(2)) {
  const read = (name) => JSON.parse(readFileSync(join(dir, name), "utf8"));
  const config = read("tokenizer_config.json");
  const tokenizer = new Tokenizer(read("tokenizer.json"), config);
  const ids = (text, special) => tokenizer.encode(text, { add_special_tokens: special }).ids;
  const golden = read("golden.json");
  golden.library = "@huggingface/tokenizers 0.2.0, @huggingface/jinja 0.5";
  for (const c of golden.cases) {
    c.ids = ids(c.text, false);
    c.begun = ids(c.text, true);
    c.back = c.ids.length === 0 ? "" : tokenizer.decode(c.ids, { skip_special_tokens: true, clean_up_tokenization_spaces: false });
  }
  const template = new Template(config.chat_template);
  for (const c of golden.chats) {
    c.rendered = template.render({ messages: c.messages, bos_token: config.bos_token, add_generation_prompt: c.prompt });
    c.ids = ids(c.rendered, false);
  }
  const lines = golden.cases.map((c) => "  " + JSON.stringify(c)).join(",\n");
  const chats = golden.chats.map((c) => "  " + JSON.stringify(c)).join(",\n");
  writeFileSync(join(dir, "golden.json"),
    `{"library": ${JSON.stringify(golden.library)},\n "cases": [\n${lines}\n ],\n "chats": [\n${chats}\n ]}\n`);
}
