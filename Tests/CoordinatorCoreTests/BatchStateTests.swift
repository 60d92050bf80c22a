import CoordinatorCore
import Testing

@Suite("Batch states")
struct BatchStateTests {
  static let states: [BatchState] = [
    .validating, .failed, .inProgress, .finalizing(.completed), .finalizing(.expired), .completed,
    .expired, .cancelling, .cancelled,
  ]
  static let events: [BatchEvent] = [
    .validated, .invalid, .allRequestsEnded, .windowClosed, .cancelRequested, .filesWritten,
  ]

  /// Every legal step; all others throw.
  static let steps: [BatchState: [BatchEvent: BatchState]] = [
    .validating: [
      .validated: .inProgress, .invalid: .failed, .windowClosed: .failed,
      .allRequestsEnded: .finalizing(.completed), .cancelRequested: .cancelling,
    ],
    .inProgress: [
      .allRequestsEnded: .finalizing(.completed), .windowClosed: .finalizing(.expired),
      .cancelRequested: .cancelling,
    ],
    .finalizing(.completed): [.filesWritten: .completed],
    .finalizing(.expired): [.filesWritten: .expired],
    .cancelling: [.cancelRequested: .cancelling, .filesWritten: .cancelled],
    .cancelled: [.cancelRequested: .cancelled],
  ]

  @Test("each state takes exactly its events", arguments: states, events)
  func step(state: BatchState, event: BatchEvent) throws {
    if let expected = Self.steps[state]?[event] {
      #expect(try state.after(event) == expected)
    } else {
      #expect(throws: BatchTransitionError(state: state, event: event)) {
        try state.after(event)
      }
    }
  }

  @Test("an ended batch takes no event but a repeated cancellation")
  func ended() {
    for state in Self.states where state.hasEnded {
      #expect((Self.steps[state] ?? [:]).allSatisfy { $0.key == .cancelRequested })
      #expect(!state.awaitsFiles)
    }
  }

  @Test("the states have OpenAI's names")
  func names() {
    #expect(
      Set(Self.states.map(\.status)) == [
        "validating", "failed", "in_progress", "finalizing", "completed", "expired", "cancelling",
        "cancelled",
      ])
  }
}
