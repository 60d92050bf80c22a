import ArgumentParser
import CoordinatorAPI
import CoordinatorServer
import CoordinatorCore
import CoordinatorStore
import Foundation
import WireProtocol

/// Makes the text that admits a volunteer's machines.
struct InviteCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "invite", abstract: "Make an invitation for a volunteer's machines.",
    discussion: """
      An invitation is one line of text: where the coordinator is, the fingerprint of its \
      authority, and a secret. Give it to the volunteer over a channel that you trust; whoever has \
      it can join the account. Several machines can use the same one. What they compute counts for \
      ACCOUNT, which is made if it is new.

      --trusted workers serve the trusted pool too: they see private prompts, and nobody runs \
      their units again. Keep that for machines that you would trust with both.

      Only accounts whose owner agreed are named in public statistics: --public says so (`tally \
      account` changes it later). What others contribute counts in the totals.

      EXAMPLES:
        tally invite ada --public
        tally invite physics-lab --trusted --uses 20 --days 1
      """)

  @Argument(help: "The account that gets the credit.")
  var account: String

  @Option(help: "Machines that may join with it.")
  var uses = 1

  @Option(help: "Days until it ends.")
  var days = 7

  @Flag(help: "These machines may run the trusted pool's prompts.")
  var trusted = false

  @Flag(
    name: .customLong("public"),
    help: "Its owner agreed that the account's name and contribution are public.")
  var isNamed = false

  @Option(help: "How workers reach the coordinator, where it does not know: https://HOST:PORT.")
  var url: String?

  @Flag(help: "Print JSON.")
  var json = false

  @OptionGroup var data: DataOptions

  private struct Report: Encodable {
    let id: String
    let account: String
    let invitation: String
    let uses: Int
    let trusted: Bool
    let expires_at: Int
  }

  func validate() throws {
    guard (1...10000).contains(uses) else { throw ValidationError("--uses takes 1 to 10000") }
    guard (1...365).contains(days) else { throw ValidationError("--days takes 1 to 365") }
  }

  func run() async throws {
    let folder = try data.open()
    guard let address = url ?? PublicAddress.load(from: folder.url) else {
      throw CommandError(
        "where do workers reach the coordinator? Pass --url https://HOST:PORT, or start it once")
    }
    guard address.hasPrefix("https://") else {
      throw CommandError("workers connect to an https:// address, not \"\(address)\"")
    }
    let secret = Secret.make()
    let now = try await folder.now()
    let record = try await folder.store.createInvitation(
      NewInvitation(
        secretHash: Secret.hash(secret), accountName: account, uses: uses,
        expiresAt: now.adding(seconds: days * 86400), trusted: trusted, isNamed: isNamed), now: now)
    let invitation = try Invitation(
      url: address, secret: secret, authority: folder.authority.fingerprint()
    ).spelled()
    if json {
      try printJSON(
        Report(
          id: record.id, account: account, invitation: invitation, uses: uses, trusted: trusted,
          expires_at: record.expiresAt.seconds))
      return
    }
    Terminal.error.line(
      "For \(uses == 1 ? "one machine" : "\(uses) machines") of \(account), until "
        + "\(Spelled.time(record.expiresAt.seconds)):")
    Terminal.output.line(invitation)
    Terminal.error.line("There: tally worker join INVITATION, then tally worker run")
  }
}
