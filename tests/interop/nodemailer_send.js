// Sends one message with nodemailer: {transport, message} as JSON on standard input.
// Ends with 0, or prints the error's codes as JSON and ends with 1.
'use strict';
const nodemailer = require('nodemailer');
const { transport, message } = JSON.parse(require('fs').readFileSync(0, 'utf8'));
nodemailer
    .createTransport(transport)
    .sendMail(message)
    .then((info) => console.log(JSON.stringify(info.accepted)))
    .catch((error) => {
        console.log(JSON.stringify({ code: error.code, responseCode: error.responseCode }));
        process.exitCode = 1;
    });
