import COpenSSL
import enum Crypto.P256
import Foundation
import Glibc
import Testing
import TestSupport
import WorkerDaemon
import X509

@Suite struct KeyTests {
  let passphrase = Passphrase("correct horse battery staple")!

  @Test func theFileIsEncryptedPKCS8() throws {
    let key = try LibcryptoKey.generate()
    let pem = try key.encryptedPEM(passphrase: passphrase)
    #expect(pem.hasPrefix("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"))
    // PBES2 (1.2.840.113549.1.5.13), PBKDF2 with HMAC-SHA256, AES-256-CBC, in DER.
    let base64 = pem.split(separator: "\n").dropFirst().dropLast().joined()
    let der = try #require(Data(base64Encoded: base64))
    for identifier: [UInt8] in [
      [0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x05, 0x0D],
      [0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x02, 0x09],
      [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x2A],
    ] {
      #expect(der.range(of: Data(identifier)) != nil)
    }
    // Swift Crypto reads unencrypted keys only.
    #expect(throws: (any Error).self) { try P256.Signing.PrivateKey(pemRepresentation: pem) }
  }

  @Test func thePassphraseOpensItAndNoOtherDoes() throws {
    let key = try LibcryptoKey.generate()
    let pem = try key.encryptedPEM(passphrase: passphrase)
    let again = try LibcryptoKey(encryptedPEM: pem, passphrase: passphrase)
    let message = Data("a message".utf8)
    let publicKey = try publicKey(of: key)
    for signature in [try key.signature(over: message), try again.signature(over: message)] {
      let parsed = try P256.Signing.ECDSASignature(derRepresentation: signature)
      #expect(publicKey.isValidSignature(parsed, for: message))
      #expect(!publicKey.isValidSignature(parsed, for: message + [0]))
    }
    let wrong = Passphrase("incorrect horse")!
    #expect(throws: LibcryptoError.self) { try LibcryptoKey(encryptedPEM: pem, passphrase: wrong) }
  }

  @Test func keysThatAreNotEncryptedOrNotP256AreRefused() throws {
    let plain = P256.Signing.PrivateKey().pemRepresentation
    #expect(throws: LibcryptoError.self) {
      try LibcryptoKey(encryptedPEM: plain, passphrase: passphrase)
    }
    #expect(throws: LibcryptoError.self) {
      try LibcryptoKey(encryptedPEM: "", passphrase: passphrase)
    }
    let p384 = try keyOnP384(passphrase: "p384")
    #expect(throws: LibcryptoError.self) {
      try LibcryptoKey(encryptedPEM: p384, passphrase: Passphrase("p384")!)
    }
  }

  @Test func signingRequestsVerify() throws {
    let key = try LibcryptoKey.generate()
    for name in ["kitchen laptop", String(repeating: "ü", count: 200), "a/b=c,d"] {
      let pem = try key.signingRequest(commonName: name)
      let request = try CertificateSigningRequest(pemEncoded: pem)
      #expect(request.publicKey.isValidSignature(request.signature, for: request))
      #expect("\(request.subject)".contains(String(name.prefix(3))))
    }
  }

  private func publicKey(of key: LibcryptoKey) throws -> P256.Signing.PublicKey {
    let pem = try key.signingRequest(commonName: "test")
    return try #require(
      P256.Signing.PublicKey(CertificateSigningRequest(pemEncoded: pem).publicKey))
  }
}

@Suite struct WorkerFolderTests {
  let place: TemporaryFolder
  let folder: WorkerFolder

  init() throws {
    place = try TemporaryFolder()
    folder = try WorkerFolder(place.path("worker"))
  }

  func mode(_ path: String) throws -> Int {
    let attributes = try FileManager.default.attributesOfItem(atPath: path)
    return try #require(attributes[.posixPermissions] as? Int)
  }

  @Test func keyAndPassphraseAreMadeOnceAndForTheOwnerAlone() throws {
    let passphrase = try folder.passphrase(from: .automatic, environment: [:])
    let key = try folder.loadKey(passphrase: passphrase)
    #expect(try mode(folder.path) == 0o700)
    #expect(try mode(folder.key) == 0o600)
    #expect(try mode(folder.passphrase) == 0o600)
    let stored = try String(contentsOfFile: folder.key, encoding: .utf8)
    #expect(stored.hasPrefix("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"))
    let again = try folder.loadKey(
      passphrase: folder.passphrase(from: .automatic, environment: [:]))
    let names = try [key, again].map {
      try CertificateSigningRequest(pemEncoded: $0.signingRequest(commonName: "x")).publicKey
    }
    #expect(names[0] == names[1])
  }

  @Test func thePassphraseComesFromTheEnvironmentOrAFile() throws {
    let given = ["TALLY_KEY_PASSPHRASE": "from the environment"]
    _ = try folder.loadKey(passphrase: folder.passphrase(from: .automatic, environment: given))
    #expect(!FileManager.default.fileExists(atPath: folder.passphrase))
    // Without it the key stays closed, and no new passphrase is made up.
    #expect(throws: FileError.self) {
      try folder.passphrase(from: .automatic, environment: [:])
    }
    let file = place.path("secret")
    try Data("from the environment\n".utf8).write(to: URL(fileURLWithPath: file))
    chmod(file, 0o644)
    #expect(throws: FileError.self) {
      try folder.passphrase(from: .file(file), environment: [:])
    }
    chmod(file, 0o600)
    _ = try folder.loadKey(passphrase: folder.passphrase(from: .file(file), environment: [:]))
    let credentials = ["CREDENTIALS_DIRECTORY": place.url.path]
    try Data("from the environment".utf8).write(
      to: URL(fileURLWithPath: place.path("tally-key-passphrase")))
    _ = try folder.loadKey(
      passphrase: folder.passphrase(from: .automatic, environment: credentials))
  }

  @Test func aKeyThatOthersCanReadIsRefused() throws {
    let passphrase = try folder.passphrase(from: .automatic, environment: [:])
    _ = try folder.loadKey(passphrase: passphrase)
    chmod(folder.key, 0o640)
    #expect(throws: FileError.self) { try folder.loadKey(passphrase: passphrase) }
  }

  @Test func oneWorkerAFolder() throws {
    var lock: FolderLock? = try folder.lock()
    #expect(throws: FileError.self) { try folder.lock() }
    withExtendedLifetime(lock) {}
    lock = nil
    _ = try folder.lock()
  }

  @Test func passphrasesPrintAsNothing() {
    let passphrase = Passphrase("secret")!
    #expect(!"\(passphrase)".contains("secret"))
    #expect(!String(reflecting: passphrase).contains("secret"))
    #expect(Passphrase("") == nil)
    #expect(Passphrase("\n") == nil)
    #expect(Passphrase(String(repeating: "x", count: 1001)) == nil)
  }
}

/// An encrypted PKCS#8 key on another curve.
private func keyOnP384(passphrase: String) throws -> String {
  let context = EVP_PKEY_CTX_new_from_name(nil, "EC", nil)
  defer { EVP_PKEY_CTX_free(context) }
  var key: OpaquePointer?
  try #require(EVP_PKEY_keygen_init(context) == 1)
  try #require(EVP_PKEY_CTX_set_group_name(context, "P-384") == 1)
  try #require(EVP_PKEY_generate(context, &key) == 1)
  defer { EVP_PKEY_free(key) }
  let buffer = BIO_new(BIO_s_mem())
  defer { BIO_free(buffer) }
  let secret = passphrase.utf8.map(CChar.init(bitPattern:))
  try #require(
    PEM_write_bio_PKCS8PrivateKey(
      buffer, key, EVP_aes_256_cbc(), secret, Int32(secret.count), nil, nil) == 1)
  var bytes = [UInt8](repeating: 0, count: 8192)
  let count = BIO_read(buffer, &bytes, Int32(bytes.count))
  return String(decoding: bytes.prefix(Int(max(0, count))), as: UTF8.self)
}
