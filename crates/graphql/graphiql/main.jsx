// The page: GraphiQL, with queries over HTTP and subscriptions over graphql-transport-ws.
import { createGraphiQLFetcher } from '@graphiql/toolkit';
import { GraphiQL } from 'graphiql';
import 'graphiql/graphiql.css';
import { createClient } from 'graphql-ws';
import { createRoot } from 'react-dom/client';

const url = new URL(document.documentElement.dataset.endpoint, location.href);
const socket = new URL(url);
socket.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
// What the editor of headers contains is also the payload of `connection_init`: a browser's WebSocket has no headers.
let headers = {};
const wsClient = createClient({ url: socket.href, connectionParams: () => headers });
const fetch = createGraphiQLFetcher({ url: url.href, wsClient });
const fetcher = (parameters, options) => {
  headers = options?.headers ?? {};
  return fetch(parameters, options);
};
createRoot(document.body).render(<GraphiQL fetcher={fetcher} />);
