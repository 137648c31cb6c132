// Mojaloop's own transformer as a command: questions as a JSON array on the input, answers as one on the output.
'use strict';

const { TransformFacades } = require('@mojaloop/ml-schema-transformer-lib');

const facades = { toIso: TransformFacades.FSPIOP, toFspiop: TransformFacades.FSPIOPISO20022 };

async function answer({ direction, resource, form, body, headers, params, context }) {
  try {
    const transformed = await facades[direction][resource][form]({ body, headers, params, $context: context });
    return { body: transformed.body };
  } catch (error) {
    return { refused: error.message };
  }
}

let input = '';
process.stdin.setEncoding('utf8');
process.stdin.on('data', (text) => { input += text; });
process.stdin.on('end', async () => {
  const answers = [];
  for (const question of JSON.parse(input)) answers.push(await answer(question));
  process.stdout.write(JSON.stringify(answers));
});
