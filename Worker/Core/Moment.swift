/// A point in time on the worker's own clock: the time since an origin that only the daemon knows.
///
/// The core never reads a clock. The daemon converts calendar dates (a certificate's, a result's)
/// to moments, and does so again each minute, since the calendar may be set.
package struct Moment: InstantProtocol, Sendable {
  /// The time since the origin; negative for what happened before it.
  package var sinceOrigin: Duration

  package init(_ sinceOrigin: Duration) { self.sinceOrigin = sinceOrigin }

  /// The origin itself.
  package static let origin = Moment(.zero)

  /// The moment `duration` later.
  package func advanced(by duration: Duration) -> Moment { Moment(sinceOrigin + duration) }
  /// The time from here to `other`; negative when that lies before.
  package func duration(to other: Moment) -> Duration { other.sinceOrigin - sinceOrigin }

  package static func < (left: Moment, right: Moment) -> Bool {
    left.sinceOrigin < right.sinceOrigin
  }
  /// The moment `duration` after `moment`.
  package static func + (moment: Moment, duration: Duration) -> Moment {
    moment.advanced(by: duration)
  }
}

extension Duration {
  /// The duration in seconds, rounded to what a `Double` holds.
  package var inSeconds: Double {
    Double(components.seconds) + Double(components.attoseconds) * 1e-18
  }
}
