import CoordinatorStatistics
import Hummingbird

/// Counts every answer, errors included.
struct MetricsMiddleware: RouterMiddleware {
  typealias Context = CoordinatorRequestContext

  let metrics: RequestMetrics

  func handle(
    _ request: Request, context: Context, next: (Request, Context) async throws -> Response
  ) async throws -> Response {
    let start = ContinuousClock.now
    let response = try await next(request, context)
    let taken = start.duration(to: .now).components
    metrics.record(
      method: context.endpointPath == nil ? "any" : request.method.rawValue,
      route: context.endpointPath ?? "unknown", status: response.status.code,
      seconds: Double(taken.seconds) + Double(taken.attoseconds) * 1e-18)
    return response
  }
}
