// Encrypts or decrypts a file by AWS's Encryption SDK for JavaScript, as its documentation shows it.
//
//     node messages.mjs encrypt KEY_ID IN OUT NAME=VALUE...
//     node messages.mjs decrypt KEY_ID IN OUT NAME=VALUE...
//     node messages.mjs encrypt-cached KEY_ID FOLDER MESSAGES      each file of it to FILE.encrypted
//
// The server and the credentials are AWS's environment variables'.
import { createReadStream, createWriteStream, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import {
  buildClient,
  CommitmentPolicy,
  getLocalCryptographicMaterialsCache,
  KmsKeyringNode,
  NodeCachingMaterialsManager,
} from '@aws-crypto/client-node'

const { encrypt, encryptStream, decryptStream } = buildClient(
  CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT
)
const [mode, keyId, input, ...rest] = process.argv.slice(2)

if (mode === 'encrypt-cached') {
  const manager = new NodeCachingMaterialsManager({
    backingMaterials: new KmsKeyringNode({ generatorKeyId: keyId }),
    cache: getLocalCryptographicMaterialsCache(10),
    maxAge: 60_000,
    maxMessagesEncrypted: Number(rest[0]),
  })
  for (const name of readdirSync(input)) {
    const plaintext = readFileSync(join(input, name))
    const { result } = await encrypt(manager, plaintext, { plaintextLength: plaintext.length })
    writeFileSync(join(input, `${name}.encrypted`), result)
  }
} else {
  const [output, ...pairs] = rest
  const context = Object.fromEntries(pairs.map((pair) => pair.split('=')))
  const keyring =
    mode === 'encrypt' ? new KmsKeyringNode({ generatorKeyId: keyId }) : new KmsKeyringNode({ keyIds: [keyId] })
  const stream =
    mode === 'encrypt' ? encryptStream(keyring, { encryptionContext: context }) : decryptStream(keyring)
  stream.on('MessageHeader', ({ encryptionContext }) => {
    for (const [name, value] of Object.entries(context)) {
      if (encryptionContext[name] !== value) throw new Error(`encryption context: no ${name}=${value}`)
    }
  })
  await pipeline(createReadStream(input), stream, createWriteStream(output))
}
