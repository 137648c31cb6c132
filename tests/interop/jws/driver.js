// Mojaloop's own library as a command: questions as a JSON array on the input, answers as one on the output.
'use strict';

const { Ilp, Jws } = require('@mojaloop/sdk-standard-components');

const silent = { debug() {}, error() {}, info() {}, warn() {}, verbose() {}, child: () => silent };

const actions = {
  sign({ key, method, uri, headers, body }) {
    const options = { method, uri, headers: { ...headers }, body: JSON.parse(body) };
    new Jws.signer({ logger: silent, signingKey: key }).sign(options);
    return { headers: options.headers, body: options.body };
  },
  verify({ keys, headers, body }) {
    try {
      return { valid: new Jws.validator({ logger: silent, validationKeys: keys }).validate({ headers, body: JSON.parse(body) }) };
    } catch (error) {
      return { valid: false, reason: error.message };
    }
  },
  packet({ version, secret, quoteRequest, quoteResponse }) {
    return Ilp.ilpFactory(version, { secret, logger: silent }).getQuoteResponseIlp(quoteRequest, quoteResponse);
  },
  decode({ version, packet }) {
    const ilp = Ilp.ilpFactory(version, { secret: 'none', logger: silent });
    return { packet: ilp.decodeIlpPacket(packet), transaction: ilp.getTransactionObject(packet) };
  },
  fulfils({ version, fulfilment, condition }) {
    return Ilp.ilpFactory(version, { secret: 'none', logger: silent }).validateFulfil(fulfilment, condition);
  },
  transferFits({ version, transfer }) {
    return Ilp.ilpFactory(version, { secret: 'none', logger: silent }).validateIlpAgainstTransferRequest(transfer);
  },
};

let input = '';
process.stdin.setEncoding('utf8');
process.stdin.on('data', (text) => { input += text; });
process.stdin.on('end', () => {
  const answers = JSON.parse(input).map((question) => actions[question.action](question));
  process.stdout.write(JSON.stringify(answers));
});
