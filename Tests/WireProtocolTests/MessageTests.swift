import Foundation
import Testing
import WirePayloads
import WireProtocol

@Suite struct MessageTests {
  static let digest = Digest(hex: String(repeating: "0a", count: 32))!

  @Test func digestsAreSpelledOneWay() {
    #expect(Digest(hex: String(repeating: "0A", count: 32)) == nil)
    #expect(Digest(hex: "00") == nil)
    #expect(Digest(bytes: [UInt8](repeating: 10, count: 32)) == Self.digest)
    #expect(Digest(bytes: [1]) == nil)
  }

  /// The name of a unit must never change: it is in receipts.
  @Test func unitNamesAreStable() throws {
    var unit = UnitSpecification(
      kind: .generate, profile: "exact-1", model: Self.digest, inputs: Self.digest, cache: .f16)
    let hex = Self.digest.hex
    #expect(
      try String(decoding: CanonicalJSON.encode(unit), as: UTF8.self)
        == #"{"cache":"f16","inputs":"\#(hex)","kind":"generate","model":"\#(hex)","#
        + #""profile":"exact-1"}"#)
    let name = try BlobDigest.unit(unit)
    unit.cache = .f32
    #expect(try BlobDigest.unit(unit) != name)
  }

  @Test func invitationsSurvivePasting() throws {
    let invitation = Invitation(
      url: "https://example.org:7443", secret: "s3cr3t", authority: Self.digest)
    let text = try invitation.spelled()
    #expect(try Invitation(spelled: "  \(text)\n") == invitation)
    #expect(throws: InvitationError.damaged) { try Invitation(spelled: String(text.dropLast(9))) }
    #expect(throws: InvitationError.notAnInvitation) { try Invitation(spelled: "hello") }
  }

  @Test func mismatchesSayWhatToUpgrade() {
    #expect(PeerVersions().mismatch() == nil)
    let old = PeerVersions(protocolVersion: 1, programVersion: "0.0.1")
    #expect(old.mismatch(protocolVersion: 2)?.contains("Upgrade the worker") == true)
    let new = PeerVersions(protocolVersion: 3)
    #expect(new.mismatch(protocolVersion: 2)?.contains("upgrade the coordinator") == true)
    let other = PeerVersions(numericsProfile: "exact-0")
    #expect(other.mismatch()?.contains("exact-0") == true)
  }

  @Test func versionsAreOrderedByNumber() throws {
    let ten = try #require(ProgramVersion("0.10.0"))
    let nine = try #require(ProgramVersion("0.9.12"))
    #expect(nine < ten && !(ten < nine))
    #expect(ProgramVersion("0.10.0-dev+abc") == ten)
    for text in ["", "1", "1.2", "1.2.3.4", "1.2.x", "-1.2.3", "1..3", "1.2.9999999", "１.2.3"] {
      #expect(ProgramVersion(text) == nil, "\(text)")
    }
  }

  @Test func aMinimumVersionTurnsOlderWorkersAway() {
    let minimum = ProgramVersion("0.9.0")
    func told(_ version: String) -> String? {
      PeerVersions(programVersion: version).mismatch(minimumVersion: minimum)
    }
    #expect(told("0.9.0") == nil)
    #expect(told("0.10.0") == nil)
    #expect(told("0.8.7")?.contains("asks for 0.9.0 or newer") == true)
    // A version that nobody can read is not known to be new enough.
    #expect(told("nightly") != nil)
  }

  @Test func errorsCarryNullForAbsentFields() throws {
    let body = ErrorBody(error: .init(message: "m", type: "invalid_request_error"))
    #expect(
      try String(decoding: CanonicalJSON.encode(body), as: UTF8.self)
        == #"{"error":{"code":null,"message":"m","param":null,"type":"invalid_request_error"}}"#)
  }

  @Test func idleReasonsAreAnObject() throws {
    let response = LeaseResponse(leases: [], reasons: [.noWork: 1], retryAfterSeconds: 5)
    #expect(
      try String(decoding: CanonicalJSON.encode(response), as: UTF8.self)
        == #"{"leases":[],"reasons":{"noWork":1},"retryAfterSeconds":5}"#)
  }
}
